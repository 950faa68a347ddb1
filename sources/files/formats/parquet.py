"""Parquet: columns of whatever type, in types that tables are read from."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet

from contracts.errors import SourceError
from contracts.settings.files import TableFiles
from sources.canonical.origins import FINGERPRINT
from sources.files.data_files import DataFile
from sources.files.formats.row_batch import RawRows, RowNumbers, check_columns
from sources.files.whole_days import HEAD, with_fingerprints

BATCH_ROWS = 400_000
UUID_BYTES = 16


def parquet_rows(file: DataFile, settings: TableFiles, columns: Sequence[str]) -> Iterator[RawRows]:
    """The columns of a Parquet file, batch by batch."""
    if file.compression:
        raise SourceError(f"{file.name}: Parquet is compressed inside, not as a file.", "Decompress the file.")
    numbers = RowNumbers(1)
    with file.open() as stream, _parquet_errors(file):
        content = pyarrow.parquet.ParquetFile(stream)
        check_columns(file.name, content.schema_arrow.names, columns)
        wanted = list(columns)
        for block in content.iter_batches(batch_size=HEAD, columns=wanted):
            # Only where rows need a fingerprint is every column read.
            first = _plain_columns(block, wanted)
            if FINGERPRINT in with_fingerprints(first, first, settings).columns:
                wanted = [name for name in content.schema_arrow.names if name not in wanted] + wanted
            break
        for block in content.iter_batches(batch_size=BATCH_ROWS, columns=wanted):
            block.validate(full=True)
            whole = _plain_columns(block, wanted)
            yield RawRows(numbers.take(len(whole), []), with_fingerprints(whole.select(columns), whole, settings))


def parquet_columns(file: DataFile) -> list[str]:
    """The names of a file's columns."""
    with file.open() as stream, _parquet_errors(file):
        names: list[str] = pyarrow.parquet.ParquetFile(stream).schema_arrow.names
        return names


@contextmanager
def _parquet_errors(file: DataFile) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, pl.exceptions.PolarsError) as error:
        raise SourceError(
            f"{file.name} is no whole Parquet file: {str(error).rstrip('.')}.",
            "It was cut short or damaged on the way. Export or copy it again, and compare the sizes.",
        ) from error


def _plain_columns(block: Any, names: Sequence[str]) -> pl.DataFrame:
    plain = pa.table({name: _plain(block[name]) for name in names})
    return pl.DataFrame(pl.from_arrow(plain))


def _plain(cells: pa.Array) -> pa.Array:
    """The same cells in a type that tables are read from: texts, numbers, times, and lists of them."""
    kind = cells.type
    if isinstance(kind, pa.BaseExtensionType):
        return _plain(cells.storage)
    if pa.types.is_dictionary(kind):
        return _plain(cells.dictionary_decode())
    if pa.types.is_fixed_size_list(kind):
        return cells.cast(pa.list_(kind.value_type))
    if pa.types.is_fixed_size_binary(kind) and kind.byte_width == UUID_BYTES:
        return pa.array(
            [None if cell is None else str(uuid.UUID(bytes=cell)) for cell in cells.to_pylist()], pa.string()
        )
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return _text_or_hex(cells)
    # A time of day and a length of time are no moments.
    return cells.cast(pa.string()) if pa.types.is_time(kind) or pa.types.is_duration(kind) else cells


def _text_or_hex(cells: pa.Array) -> pa.Array:
    try:
        return cells.cast(pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:  # bytes that are no text
        return pa.array([None if cell is None else cell.hex() for cell in cells.to_pylist()], pa.string())
