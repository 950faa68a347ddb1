"""Reads a table of any size in batches, in a total order, and writes rows back into one file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet

from contracts.errors import ArtefactError
from contracts.tables import SCHEMAS, SORT_KEYS

BATCH_ROWS = 1_000_000  # some 300 MiB while Great Expectations looks at them
GROUP_ROWS = 250_000  # of a row group, whatever the batches were, so that equal rows give equal bytes
POSITION = "row position"  # a table may have a column `position` of its own
FIRST = "first position"  # of a row that repeats another: where that one stands


@contextmanager
def parquet_errors(name: str) -> Iterator[None]:
    """Map polars' errors of a missing or damaged file."""
    try:
        yield
    except FileNotFoundError as error:
        raise ArtefactError(f"{name}.parquet is missing.", "Run `dvc repro` to build it.") from error
    # A panic of polars' own code over forged bytes is no Exception.
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise ArtefactError(
            f"{name}.parquet is no readable Parquet file: {error}", "`dvc repro --force ingest` writes it again."
        ) from error


def batches(name: str, table: pl.LazyFrame, batch_rows: int = BATCH_ROWS) -> Iterator[pl.DataFrame]:
    """The rows with their POSITION in the table, from 0; rows of equal key are never in two batches.

    Rows of equal key are sorted by their other columns, so that the first of two repeated rows is the same one whatever
    their order in the file. Raises ArtefactError when the table is not sorted by its keys.
    """
    keys = SORT_KEYS[name]
    rest = [column for column, kind in SCHEMAS[name].items() if column not in keys and kind != pl.List(pl.String())]
    before: tuple[Any, ...] | None = None
    for batch in _runs(name, table, keys, batch_rows):
        ordered = batch.sort([*keys, *rest, POSITION])
        first, last = (_comparable(ordered.select(keys).row(row)) for row in (0, -1))
        if before is not None and first <= before:
            raise ArtefactError(
                f"{name} is not sorted by {', '.join(keys)}: row {ordered[POSITION][0]:,} should come earlier.",
                "`dvc repro --force ingest` writes data/raw/ again.",
            )
        before = last
        yield ordered


def _runs(name: str, table: pl.LazyFrame, keys: list[str], batch_rows: int) -> Iterator[pl.DataFrame]:
    """Slices that end where the key changes."""
    start, wanted = 0, batch_rows
    while True:
        with parquet_errors(name):
            batch = table.slice(start, wanted).collect()
        is_last = len(batch) < wanted
        n_whole = len(batch) if is_last else _start_of_last_run(batch, keys)
        if not n_whole and not is_last:
            wanted *= 2  # all of these rows have one key
            continue
        if n_whole:
            yield batch.head(n_whole).with_row_index(POSITION, offset=start)
        if is_last:
            return
        start, wanted = start + n_whole, batch_rows


def _start_of_last_run(batch: pl.DataFrame, keys: list[str]) -> int:
    is_last_key = pl.all_horizontal(pl.col(key).eq_missing(pl.col(key).last()) for key in keys)
    others = batch.select((~is_last_key).arg_true().last()).item()
    return 0 if others is None else int(others) + 1


def _comparable(key: tuple[Any, ...]) -> tuple[Any, ...]:
    # Null sorts first, as in polars.
    return tuple((value is not None, value) if value is not None else (False,) for value in key)


class RowFile:
    """One Parquet file that takes rows as they come; its bytes depend on the rows alone."""

    def __init__(self, path: Path, schema: pl.Schema) -> None:
        self._empty = pl.DataFrame(schema=schema)
        self._rest = self._empty
        self._writer = pyarrow.parquet.ParquetWriter(path, self._empty.to_arrow().schema, compression="zstd")
        self.path = path
        self.n_rows = 0

    def add(self, rows: pl.DataFrame) -> None:
        """Append the rows; they have the columns of the file."""
        self.n_rows += len(rows)
        self._rest = pl.concat([self._rest, rows])
        n_ready = len(self._rest) // GROUP_ROWS * GROUP_ROWS
        for start in range(0, n_ready, GROUP_ROWS):
            self._write(self._rest.slice(start, GROUP_ROWS))
        self._rest = self._rest.slice(n_ready)

    def _write(self, rows: pl.DataFrame) -> None:
        self._writer.write_table(rows.to_arrow(), row_group_size=GROUP_ROWS)

    def close(self) -> None:
        """Write what is left, and the end of the file."""
        if len(self._rest):
            self._write(self._rest)
        self._writer.close()


@contextmanager
def row_file(path: Path, schema: pl.Schema) -> Iterator[RowFile]:
    """A RowFile that is closed at the end, whatever goes wrong."""
    file = RowFile(path, schema)
    try:
        yield file
    finally:
        file.close()
