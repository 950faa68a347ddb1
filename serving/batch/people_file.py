"""The people that a file names, of whom `slate batch` is asked."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from contracts.errors import WrongInput
from release.answering.request_limits import user_id_of

COLUMN = "user_id"
NEXT_STEP = f"Name a Parquet or CSV file with a column `{COLUMN}`."


def named_people(path: Path) -> list[str]:
    """The ids of a Parquet or CSV file, each once, in their order.

    Raises WrongInput naming what is wrong with it, and the line: cells that are not as many as the columns may be the
    ids of somebody else.
    """
    user_ids: set[str] = set()
    try:
        for place, cell in _parquet_cells(path) if path.suffix == ".parquet" else _csv_cells(path):
            user_id = user_id_of(None if cell == "" else cell)
            if user_id is None:
                raise WrongInput(f"{path} has no {COLUMN} in {place}.", "Give it one, or take the row away.")
            user_ids.add(user_id)
    except FileNotFoundError as error:
        raise WrongInput(f"There is no file {path}.", NEXT_STEP) from error
    except (OSError, pl.exceptions.PolarsError, csv.Error, UnicodeDecodeError) as error:
        raise WrongInput(f"{path} gives no people: {error}", NEXT_STEP) from error
    return sorted(user_ids)


def _parquet_cells(path: Path) -> Iterator[tuple[str, Any]]:
    for row, cell in enumerate(pl.read_parquet(path, columns=[COLUMN])[COLUMN], start=1):
        yield f"row {row:,}", cell


def _csv_cells(path: Path) -> Iterator[tuple[str, str]]:
    """The line and the id of each row; lines without anything are none."""
    with path.open(encoding="utf-8-sig", newline="") as text:
        rows = csv.reader(text, strict=True)
        columns = next(rows, [])
        if COLUMN not in columns:
            raise WrongInput(f"{path} gives no people: its columns are {', '.join(columns) or 'none'}.", NEXT_STEP)
        at = columns.index(COLUMN)
        for row in filter(None, rows):
            place = f"line {rows.line_num:,}"
            if len(row) != len(columns):
                found = f"{path} has {len(row)} cells in {place}, where it names {len(columns)} columns"
                next_step = "Quote a cell that holds a comma, or mend the line."
                raise WrongInput(f"{found}: {','.join(row)[:80]!r}.", next_step)
            yield place, row[at]
