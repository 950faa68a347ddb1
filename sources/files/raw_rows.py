"""The rows of one data file, as text and in batches: CSV, TSV, JSON lines, Parquet, Excel.

Rows are numbered as a spreadsheet shows them: from 1, the line of column names included. Memory stays flat.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import polars as pl

from contracts.errors import SourceError
from contracts.settings.files import TableFiles
from sources.files.data_files import DataFile
from sources.files.formats.excel import excel_rows, whole_sheet
from sources.files.formats.json_lines import json_rows
from sources.files.formats.parquet import parquet_columns, parquet_rows
from sources.files.formats.row_batch import RawRows
from sources.files.formats.text_tables import delimited_rows, read_header


def read_rows(file: DataFile, settings: TableFiles, columns: Sequence[str]) -> Iterator[RawRows]:
    """The columns of a file, batch by batch; a column that the folders name (`day=2024-01-31`) counts as one of them.

    Raises SourceError naming file and row when it is empty, has other columns, another separator or encoding, is
    damaged, or has column names and nothing else.
    """
    kind = settings.format or file.format
    if kind is None:
        raise SourceError(
            f"{file.name} has no ending that names a format.",
            "Set `format` beside its path: csv, tsv, jsonl, parquet, excel.",
        )
    named = {name: value for name, value in file.partitions.items() if name in columns}
    inside = [name for name in columns if name not in named]
    readers = {
        "csv": delimited_rows,
        "tsv": delimited_rows,
        "jsonl": json_rows,
        "parquet": parquet_rows,
        "excel": excel_rows,
    }
    n_rows = 0
    for batch in readers[kind](file, settings, inside):
        n_rows += len(batch.rows) + len(batch.ragged)
        from_folders = [pl.lit(value).alias(name) for name, value in named.items()]
        yield replace(batch, table=batch.table.with_columns(from_folders))
    if not n_rows:
        raise SourceError(f"{file.name} holds no rows.", "Export it again, or take it away if nothing happened then.")


def columns_of(file: DataFile, settings: TableFiles) -> frozenset[str]:
    """The columns that a file has; of JSON lines none are known before they are read."""
    kind = settings.format or file.format
    named = frozenset(file.partitions)
    if kind in ("csv", "tsv"):
        return named | frozenset(read_header(file, settings))
    if kind == "parquet":
        return named | frozenset(parquet_columns(file))
    if kind == "excel":
        return named | frozenset(whole_sheet(file, settings).columns)
    return named
