"""Rows that could not be read into a table at all: kept as they were found, with file, row, column and reason."""

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
MAX_SHOWN = 200  # characters of what was found: enough to know it again, and a 10 MB cell stays out of every report
REFUSED = "refused.parquet"


@dataclass
class Refusals:
    """Collects refused rows; a row with two unreadable cells is one row, told by the first."""

    frames: list[pl.DataFrame] = field(default_factory=list)

    def add(self, rows: pl.DataFrame) -> None:
        """Take rows in the columns of SCHEMA."""
        if len(rows):
            self.frames.append(rows.with_columns(pl.col("found").str.slice(0, MAX_SHOWN)).select(SCHEMA.names()))

    def add_ragged(self, table: str, file: str, rows: Iterable[tuple[int, int, int, str]]) -> None:
        """Take rows with too few or too many fields: (row, expected, found, text); none found: no JSON."""
        listed = [
            (table, file, row, None, text[:MAX_SHOWN], _said(expected, found)) for row, expected, found, text in rows
        ]
        self.add(pl.DataFrame(listed, schema=SCHEMA, orient="row"))

    def table(self) -> pl.DataFrame:
        """All of them, by table, file and row."""
        if not self.frames:
            return pl.DataFrame(schema=SCHEMA)
        rows = pl.concat(self.frames).unique(["table", "file", "row"], keep="first", maintain_order=True)
        return rows.sort("table", "file", "row")

    def first_words(self) -> str:
        """The first refused row in words, to end a sentence with; empty where none was refused."""
        for row in self.table().head(1).iter_rows(named=True):
            column = f", column {row['column']}" if row["column"] else ""
            return f"; {row['file']}, row {row['row']}{column}: found {row['found']!r}, {row['reason']}"
        return ""


def _said(expected: int, found: int) -> str:
    return f"{found} fields instead of {expected}" if found else "no JSON object with any of the mapped columns"


def save_refusals(rows: pl.DataFrame, folder: Path) -> None:
    """Write the refused rows beside the tables they did not make it into."""
    write_parquet(rows, folder / REFUSED)


def load_refusals(folder: Path) -> pl.DataFrame:
    """What `save_refusals` wrote; no rows where the source refuses none."""
    path = folder / REFUSED
    return read_parquet(path) if path.exists() else pl.DataFrame(schema=SCHEMA)
