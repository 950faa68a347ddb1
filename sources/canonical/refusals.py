"""Rows that could not be read into a table: kept as text, with file, row, column and reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from contracts.tables import read_parquet, write_parquet

SCHEMA = pl.Schema(
    {
        "table": pl.String(),
        "file": pl.String(),
        "row": pl.Int64(),
        "column": pl.String(),  # null where the row as a whole is wrong
        "found": pl.String(),
        "reason": pl.String(),
    }
)
MAX_SHOWN = 200  # characters of a cell: enough to recognise it, and no report holds a cell of 10 MB
REFUSED = "refused.parquet"


def none_refused() -> pl.DataFrame:
    """No rows, in the columns of SCHEMA; a table of one's own each time, for tables can be changed in place."""
    return pl.DataFrame(schema=SCHEMA)


@dataclass
class Refusals:
    """Gathers refused rows. A row with two unreadable cells counts once, with its first reason."""

    frames: list[pl.DataFrame] = field(default_factory=list)

    def add(self, rows: pl.DataFrame) -> None:
        """Take rows in the columns of SCHEMA."""
        if len(rows):
            self.frames.append(rows.with_columns(pl.col("found").str.slice(0, MAX_SHOWN)).select(SCHEMA.names()))

    def add_ragged(self, table: str, file: str, rows: Iterable[tuple[int, int, int, str]]) -> None:
        """Take rows with too few or too many fields: (row, fields expected, fields there, text); no fields: no JSON."""
        listed = [
            (table, file, row, None, text[:MAX_SHOWN], _ragged_reason(n_expected, n_fields))
            for row, n_expected, n_fields, text in rows
        ]
        self.add(pl.DataFrame(listed, schema=SCHEMA, orient="row"))

    def of_row(self, table: str, file: str, row: int) -> dict[str, object] | None:
        """Why a row was refused, in the columns of SCHEMA; None where it was not."""
        for frame in self.frames:
            for refused in frame.filter(table=table, file=file, row=row).iter_rows(named=True):
                return refused
        return None

    def table(self) -> pl.DataFrame:
        """All of them, by table, file and row."""
        if not self.frames:
            return none_refused()
        rows = pl.concat(self.frames).unique(["table", "file", "row"], keep="first", maintain_order=True)
        return rows.sort("table", "file", "row")

    def first_words(self) -> str:
        """The first refused row in words, to end a sentence with; empty where none was refused."""
        for row in self.table().head(1).iter_rows(named=True):
            column = f", column {row['column']}" if row["column"] else ""
            return f"; {row['file']}, row {row['row']}{column}: found {row['found']!r}, {row['reason']}"
        return ""


def _ragged_reason(n_expected: int, n_fields: int) -> str:
    return f"{n_fields} fields instead of {n_expected}" if n_fields else "no JSON object with any of the mapped columns"


def save_refusals(rows: pl.DataFrame, folder: Path) -> None:
    """Write the refused rows beside the tables."""
    write_parquet(rows, folder / REFUSED)


def load_refusals(folder: Path) -> pl.DataFrame:
    """What `save_refusals` wrote; no rows where none were refused."""
    path = folder / REFUSED
    return read_parquet(path) if path.exists() else none_refused()
