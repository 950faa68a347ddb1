"""A batch of a file's rows, their numbers, and the columns that a mapping asks of it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from contracts.counted import counted
from contracts.errors import SourceError

SEPARATORS = (",", ";", "\t", "|")

Ragged = tuple[int, int, int, str]


@dataclass
class RawRows:
    """A batch. table: the wanted columns under their own names, cells as the file has them; rows: the number of each.
    Where the times of interactions are whole days, FINGERPRINT is one more column.

    ragged: (row, fields expected, fields found, text) of rows left out of the table; absent: columns that no row has.
    unended: the last row of the file, in the last batch of a file that ends within a line.
    """

    rows: pl.Series
    table: pl.DataFrame
    ragged: list[Ragged] = field(default_factory=list)
    absent: frozenset[str] = frozenset()
    unended: int | None = None

    @property
    def last_row(self) -> int:
        """The number of its last row; 0 where it has none."""
        rows: list[int] = [0, *self.rows.tail(1), *(row for row, *_ in self.ragged)]
        return max(rows)

    @property
    def last_is_long(self) -> bool:
        """Whether its last row has more fields than there are columns."""
        return any(n_found > n_expected for row, n_expected, n_found, _ in self.ragged if row == self.last_row)


class RowNumbers:
    """Numbers the rows of one block after another, leaving out those that were set aside."""

    def __init__(self, first_row: int) -> None:
        self._next = first_row
        self._aside: list[int] = []

    def take(self, n_rows: int, aside: list[int]) -> pl.Series:
        """The numbers of the next rows. aside: those set aside since the last call, which are not among them."""
        # The parser is ahead: some of those set aside belong to blocks that are still to come.
        self._aside = [row for row in (*self._aside, *aside) if row >= self._next]
        is_taken = np.ones(n_rows + len(self._aside), np.bool_)
        inside = np.array(self._aside, np.int64) - self._next
        is_taken[inside[inside < len(is_taken)]] = False
        taken = self._next + np.flatnonzero(is_taken)[:n_rows]
        self._next = int(taken[-1]) + 1 if n_rows else self._next
        return pl.Series("row", taken, dtype=pl.Int64)


def check_columns(name: str, columns: Sequence[str], wanted: Sequence[str], separator: str | None = None) -> None:
    """Raise SourceError when a column is missing or named twice, or the line has another separator."""
    missing = [column for column in wanted if column not in columns]
    other = _likelier_separator(columns, separator) if missing else None
    if other:
        raise SourceError(
            f"{name}, row 1: with the separator {separator!r} it has {counted(len(columns), 'column')}: "
            f"{columns[0][:200]}.",
            f"It looks separated by {other!r}: set `separator: {other!r}` beside its path in params.yaml.",
        )
    if missing:
        raise SourceError(
            f"{name}, row 1: column {', '.join(missing)} is missing; found {', '.join(columns)}."
            + _did_you_mean(missing[0], columns),
            "Mend the column mapping under ingest.files in params.yaml, or the file.",
        )
    twice = sorted({column for column in columns if column and columns.count(column) > 1})
    if twice:
        raise SourceError(
            f"{name}, row 1: column {', '.join(twice)} is named twice in {', '.join(columns)}.",
            "Which one counts? Rename or remove the other in the file.",
        )


def _likelier_separator(columns: Sequence[str], separator: str | None) -> str | None:
    if separator is None or len(columns) > 2:
        return None
    line = separator.join(columns)
    return next((one for one in SEPARATORS if one != separator and line.count(one) >= len(columns)), None)


def _did_you_mean(name: str, columns: Sequence[str]) -> str:
    close = difflib.get_close_matches(name.lower(), [one.lower() for one in columns], n=1)
    return f" Did you mean {next(one for one in columns if one.lower() == close[0])}?" if close else ""
