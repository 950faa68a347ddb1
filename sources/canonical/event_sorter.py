"""Sorts any number of events into one table, in flat memory: an external sort.

Batches are written to disk as they come. The table is sorted by time first, so its spans of time are sorted one after
another.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow.parquet

from contracts.calendar import MICROSECONDS_PER_HOUR
from contracts.disk_errors import disk_errors_of
from contracts.tables import SCHEMAS
from sources.canonical.canonical import conform
from sources.canonical.origins import FINGERPRINT, ORIGIN, origin_path

SPAN_ROWS = 1_500_000  # sorted at once: some 300 MiB
_FILE, _HOUR = "file number", "hour"
_BESIDE = [*ORIGIN, FINGERPRINT]


class EventSorter:
    """Takes batches of a table of events (canonical columns, `row`, perhaps FINGERPRINT) and writes them sorted.

    folder: for the batches, on the disk of the output, removed by `close`; span_rows: how many are sorted at once, at
    least those of one hour; name: `interactions` or `impressions`.
    """

    def __init__(self, folder: Path, span_rows: int = SPAN_ROWS, name: str = "interactions") -> None:
        self._span_rows = span_rows
        self._name = name
        # Batches of two files may have different columns of the table.
        self._schema = pl.Schema(
            {**SCHEMAS[name], "row": pl.Int64(), _FILE: pl.Int32(), _HOUR: pl.Int64(), FINGERPRINT: pl.UInt64()}
        )
        self._folder = folder
        self._files: list[str] = []
        self._hours: Counter[int | None] = Counter()
        self._n_parts = 0
        self.n_rows = 0
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    def add(self, batch: pl.DataFrame, file: str) -> None:
        """Take a batch; file: the name of where its rows came from."""
        if batch.is_empty():
            return
        if not self._files or self._files[-1] != file:
            self._files.append(file)
        hour = pl.col("event_ts").dt.epoch("us") // MICROSECONDS_PER_HOUR
        part = batch.with_columns(pl.lit(len(self._files) - 1, pl.Int32).alias(_FILE), hour.alias(_HOUR))
        self._hours.update(dict(part[_HOUR].value_counts().iter_rows()))
        path = self._folder / f"{self._n_parts:06}.parquet"
        with disk_errors_of(path):
            part.write_parquet(path, compression="lz4")
        self._n_parts += 1
        self.n_rows += len(part)

    def write(self, folder: Path) -> None:
        """Write `<name>.parquet`, and beside it where each of its rows came from."""
        origins = origin_path(folder, self._name)
        origins.parent.mkdir(parents=True, exist_ok=True)
        schema = {"file": pl.String, "row": pl.Int64, FINGERPRINT: pl.UInt64}
        empty = conform(pl.DataFrame(schema=schema), self._name)
        with (
            _writer(folder / f"{self._name}.parquet", empty.drop(_BESIDE)) as rows,
            _writer(origins, empty.select(_BESIDE)) as row_origins,
        ):
            for span in self._spans():
                rows.write_table(span.drop(_BESIDE).to_arrow())
                row_origins.write_table(span.select(_BESIDE).to_arrow())

    def close(self) -> None:
        """Remove the batches from the disk."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _spans(self) -> Iterator[pl.DataFrame]:
        names = pl.Series("file", self._files, dtype=pl.String)
        for first, last in self._bounds():
            within = pl.col(_HOUR).is_null() if first is None else pl.col(_HOUR).is_between(first, last)
            parts = pl.scan_parquet(self._folder / "*.parquet", schema=self._schema, missing_columns="insert")
            span = parts.filter(within).collect()
            yield conform(span.with_columns(pl.lit(names).gather(pl.col(_FILE)).alias("file")), self._name)

    def _bounds(self) -> Iterator[tuple[int | None, int | None]]:
        """Spans of whole hours: at most `span_rows` rows, or one hour; rows without a time come first, as in a sort."""
        hours = sorted(hour for hour in self._hours if hour is not None)
        if None in self._hours:
            yield None, None
        first, n_rows = None, 0
        for position, hour in enumerate(hours):
            first = hour if first is None else first
            n_rows += self._hours[hour]
            is_last = position + 1 == len(hours)
            if is_last or n_rows + self._hours[hours[position + 1]] > self._span_rows:
                yield first, hour
                first, n_rows = None, 0


def _writer(path: Path, empty: pl.DataFrame) -> pyarrow.parquet.ParquetWriter:
    schema = empty.to_arrow().schema
    return pyarrow.parquet.ParquetWriter(path, schema, compression="zstd")
