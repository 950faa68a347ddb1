"""One Parquet file for each UTC day, of rows that have a time and an id; a row that is added twice is there once.

    <folder>/day=2026-11-24.parquet    sorted by (event_ts, event_id)

A file's bytes depend on the rows of its day alone: not on their order, nor on how many came at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet

from contracts.errors import SourceError
from contracts.whole_files import whole_file

KEY = ["event_ts", "event_id"]
ROWS_PER_GROUP = 100_000  # of a day, in memory at once: some 30 MB
PATTERN = "day=*.parquet"


def add_rows(folder: Path, rows: pl.DataFrame) -> dict[str, int]:
    """Add rows to the files of their days; returns how many were new, by the name of each file that changed.

    A file is replaced as a whole. Rows with the same key (event_ts, event_id) are the same row. In a column that a file
    of before has not, its rows are null.
    """
    added = {}
    days = rows.with_columns(day=pl.col("event_ts").dt.date()).partition_by("day", as_dict=True, include_key=False)
    for (day,), of_day in sorted(days.items()):
        path = folder / f"day={day}.parquet"
        new = _new_rows(path, of_day)
        if len(new):
            _merge(path, new)
            added[path.name] = len(new)
    return added


def day_files(folder: Path) -> list[Path]:
    """The files of a folder, by day; none where there is no folder."""
    return sorted(folder.glob(PATTERN))


def row_groups(path: Path) -> Iterator[pl.DataFrame]:
    """A file's rows, at most ROWS_PER_GROUP at once; raises SourceError when it is damaged."""
    with _opened(path) as file:
        for number in range(file.num_row_groups):
            yield pl.DataFrame(file.read_row_group(number))


def n_rows(path: Path) -> int:
    """How many rows a file holds; raises SourceError when it is damaged."""
    with _opened(path) as file:
        return int(file.metadata.num_rows)


@contextmanager
def _opened(path: Path) -> Iterator[pyarrow.parquet.ParquetFile]:
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise SourceError(
            f"{path} is no readable Parquet file: {error}.",
            "Remove it here and in the workspace, then `slate traffic collect --from-start`: what Redis still holds of "
            "that day comes back.",
        ) from error


def _new_rows(path: Path, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows that the file does not hold, each once, sorted."""
    # Which of two rows with one key is kept must not depend on their order.
    plain = [column for column, kind in rows.schema.items() if kind != pl.List(pl.String())]
    new = rows.sort(plain).unique(KEY, keep="first").sort(KEY)
    if path.exists():
        for held in row_groups(path):
            new = new.join(held.select(KEY), on=KEY, how="anti", maintain_order="left")
    return new


def _merge(path: Path, new: pl.DataFrame) -> None:
    """Replace the file by one with its rows and the new ones, in order."""
    schema = new.clear().to_arrow().schema
    # Durable: the cursor in the stream is saved after this file, and must not outlive it.
    with (
        whole_file(path, durable=True) as unfinished,
        pyarrow.parquet.ParquetWriter(unfinished, schema, compression="zstd") as writer,
    ):
        for group in _regrouped(_merged(path, new)):
            writer.write_table(group.to_arrow().cast(schema), row_group_size=ROWS_PER_GROUP)


def _merged(path: Path, new: pl.DataFrame) -> Iterator[pl.DataFrame]:
    for group in row_groups(path) if path.exists() else ():
        held = pl.concat([new.clear(), group], how="diagonal")
        ts, event_id = held.select(KEY).row(-1)
        is_before = (pl.col("event_ts") < ts) | ((pl.col("event_ts") == ts) & (pl.col("event_id") < event_id))
        n_before = new.select(is_before.sum()).item()
        yield pl.concat([held, new.head(n_before)]).sort(KEY)
        new = new.slice(n_before)
    yield new


def _regrouped(parts: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The same rows, ROWS_PER_GROUP at a time, so that the bytes do not depend on the parts."""
    waiting: pl.DataFrame | None = None
    for part in parts:
        waiting = part if waiting is None else pl.concat([waiting, part])
        while len(waiting) >= ROWS_PER_GROUP:
            yield waiting.head(ROWS_PER_GROUP)
            waiting = waiting.slice(ROWS_PER_GROUP)
    if waiting is not None and len(waiting):
        yield waiting
