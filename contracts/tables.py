"""The canonical tables: everything after ingestion sees only these.

Parquet; times are timezone-aware UTC; ids are strings. `interactions` is sorted by
(event_ts, user_id, item_id, event_type), `items` by item_id, `users` by user_id, `impressions` by (event_ts,
request_id, position).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from contracts.disk_errors import disk_errors_of
from contracts.errors import ArtefactError
from contracts.events import EVENT_CODES
from contracts.whole_files import whole_file

UTC_TIME = pl.Datetime("us", "UTC")
GUEST = "session:"  # before the session_id: the user_id of somebody of whom only a session is known
MAX_ID_LENGTH = 256  # characters; what is longer is a whole page in the wrong column

INTERACTIONS_SCHEMA = pl.Schema(
    {
        "user_id": pl.String(),
        "item_id": pl.String(),
        "event_type": pl.String(),
        "event_ts": UTC_TIME,
        "value": pl.Float64(),  # the rating, the price paid, the seconds read; null where the event has none
        "session_id": pl.String(),  # null where the source knows no sessions
        "request_id": pl.String(),  # the impression it answers; null where none is known
    }
)
ITEMS_SCHEMA = pl.Schema(
    {
        "item_id": pl.String(),
        "title": pl.String(),
        "categories": pl.List(pl.String()),
        "text": pl.String(),
        "price": pl.Float64(),
        "created_ts": UTC_TIME,
        "release_year": pl.Int32(),  # an attribute that films, books and records have; null elsewhere
        "in_stock": pl.Boolean(),  # null where nothing is said of it, which counts as in stock
        "attributes": pl.String(),  # a JSON object, see contracts.attributes; null where the item has none
    }
)
USERS_SCHEMA = pl.Schema(
    {
        "user_id": pl.String(),
        "signup_ts": UTC_TIME,
        "age": pl.Int32(),
        "gender": pl.String(),
        "occupation": pl.String(),
        "device": pl.String(),  # of somebody's first visit, like the two that follow; null where it is not known
        "day_part": pl.String(),
        "entry_page": pl.String(),
    }
)
IMPRESSIONS_SCHEMA = pl.Schema(
    {
        "request_id": pl.String(),  # the slate; interactions that answer it name it
        "position": pl.Int32(),  # from 1
        "item_id": pl.String(),
        "event_ts": UTC_TIME,
        "user_id": pl.String(),  # null where nobody known was asked for; like everything that follows
        "session_id": pl.String(),
        "propensity": pl.Float64(),  # the chance with which the policy shows this item here
        "policy_id": pl.String(),
        "release_id": pl.String(),
        "generation_id": pl.String(),
        "tier": pl.String(),
        "surface": pl.String(),
        "arm": pl.String(),
        "degraded": pl.List(pl.String()),  # what was missing for the answer; empty when all went well
    }
)

SCHEMAS = {
    "interactions": INTERACTIONS_SCHEMA,
    "items": ITEMS_SCHEMA,
    "users": USERS_SCHEMA,
    "impressions": IMPRESSIONS_SCHEMA,
}
SORT_KEYS = {
    "interactions": ["event_ts", "user_id", "item_id", "event_type"],
    "items": ["item_id"],
    "users": ["user_id"],
    "impressions": ["event_ts", "request_id", "position"],
}


def no_impressions() -> pl.DataFrame:
    """The impressions of a source that knows none."""
    return pl.DataFrame(schema=IMPRESSIONS_SCHEMA)


@dataclass(frozen=True)
class CanonicalTables:
    """The four tables in their canonical columns, types and order."""

    interactions: pl.DataFrame
    items: pl.DataFrame
    users: pl.DataFrame
    impressions: pl.DataFrame = field(default_factory=no_impressions)

    def save(self, folder: Path) -> None:
        """Write `<name>.parquet` for each table; the bytes depend on the rows alone."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, schema in SCHEMAS.items():
            table: pl.DataFrame = getattr(self, name)
            write_parquet(
                table.select(list(schema)).sort(SORT_KEYS[name], maintain_order=True), folder / f"{name}.parquet"
            )

    @classmethod
    def load(cls, folder: Path, *, impressions: bool = True) -> CanonicalTables:
        """Read what `save` wrote; raises ArtefactError when a table is missing or damaged.

        impressions: False does not load them; they may be ten times the rest.
        """
        tables = [read_parquet(folder / f"{name}.parquet") for name in ("interactions", "items", "users")]
        return cls(*tables, *([load_impressions(folder)] if impressions else []))


def load_impressions(folder: Path) -> pl.DataFrame:
    """The table `impressions` of a folder; no rows where the tables were saved before there was one."""
    path = folder / "impressions.parquet"
    return read_parquet(path) if path.exists() else no_impressions()


def scan_impressions(folder: Path) -> pl.LazyFrame:
    """As `load_impressions`, to be read row by row."""
    path = folder / "impressions.parquet"
    return pl.scan_parquet(path) if path.exists() else no_impressions().lazy()


def write_parquet(table: pl.DataFrame, path: Path, rows_per_group: int | None = None) -> None:
    """Write the table so that equal rows give equal bytes, and a killed writer leaves no half file.

    rows_per_group: of a row group, which a reader takes in as a whole; None leaves it to Polars.
    Raises OSError, with the file's name, when the disk refuses.
    """
    with whole_file(path) as unfinished, disk_errors_of(path):
        table.write_parquet(unfinished, compression="zstd", statistics=True, row_group_size=rows_per_group)


def write_portions(portions: Iterable[pl.DataFrame], path: Path) -> int:
    """Write one table of portions with the same columns, a row group each, and return how many rows it has.

    Equal portions give equal bytes, and a killed writer leaves no half file. Memory holds one portion. Raises
    ArtefactError where there is none, and OSError, with the file's name, when the disk refuses.
    """
    import pyarrow.parquet as pq  # noqa: PLC0415 - most who know the tables write none like this

    n_rows, writer = 0, None
    with whole_file(path) as unfinished, disk_errors_of(path):
        try:
            for portion in portions:
                rows = portion.to_arrow(compat_level=pl.CompatLevel.oldest())
                writer = writer or pq.ParquetWriter(unfinished, rows.schema, compression="zstd")
                writer.write_table(rows, row_group_size=max(len(rows), 1))
                n_rows += len(rows)
        finally:
            if writer is not None:
                writer.close()
        if writer is None:
            raise ArtefactError(f"{path} would have no portion.", "Run `dvc repro` to build it.")
    return n_rows


def scan_parquet(path: Path) -> pl.LazyFrame:
    """A table to be read in part; raises ArtefactError when the file is missing, or its end is damaged."""
    with _reading(path):
        table = pl.scan_parquet(path)
        table.collect_schema()
        return table


def read_parquet(path: Path) -> pl.DataFrame:
    """Read one table; raises ArtefactError when the file is missing or damaged."""
    with _reading(path):
        return pl.read_parquet(path)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise ArtefactError(f"{path} is missing.", "Run `dvc repro` to build it.") from error
    # Forged bytes can make polars panic, which is no Exception.
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise ArtefactError(
            f"{path} is no readable Parquet file: {error}", f"Remove {path.parent} and run `dvc repro`."
        ) from error


def type_codes() -> pl.Expr:
    """The codes of interactions that are positive events or returns, as `contracts.events.EVENT_CODES` has them."""
    codes = {str(event_type): code for event_type, code in EVENT_CODES.items()}
    return pl.col("event_type").replace_strict(codes, return_dtype=pl.UInt8)
