"""Ids that were written as floats, because one of them was missing: `17850.0` is the person `17850`.

One person must not become two, so one rule holds for all files whose columns feed one kind of id: the point goes where
every value that is a decimal number is whole. Words and plain numbers do not matter: beside `K5` and `17850`, `17850.0`
is `17850`. One `1.5` keeps them all as they are written: such ids are names, of versions say, and `1.0` is not `1`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from contracts.settings.files import TableFiles
from sources.files.cells import are_broken_numbers, are_whole_floats, is_blank, without_point, without_words
from sources.files.formats.row_batch import RawRows


class PointsMustStay(Exception):
    """An id such as `1.5` came up after others had lost their `.0`."""


@dataclass
class IdWriting:
    """How all files write one kind of id. broken: the first that is a number with a fraction: all keep their point.

    whole, other: by column of the files, an id that is a whole float, and one that is not.
    """

    broken: str | None = None
    whole: dict[str, str] = field(default_factory=dict)
    other: dict[str, str] = field(default_factory=dict)

    def as_ids(self, column: str, cells: pl.Series) -> pl.Series:
        """Texts of a column as ids; raises PointsMustStay where ids before them should have kept their point."""
        has_points = bool(cells.str.contains(".", literal=True).any())
        if has_points and self.broken is None:
            self.broken = cells.filter(are_broken_numbers(cells)).first()  # type: ignore[assignment]  # a text
            if self.broken is not None and self.whole:
                raise PointsMustStay
        is_whole = are_whole_floats(cells)
        _keep_first(self.whole, column, cells, is_whole)
        _keep_first(self.other, column, cells, ~is_whole & ~is_blank(cells))
        return cells if self.broken is not None or not has_points else without_point(cells)

    def forget_examples(self) -> None:
        """Begin to read again; what is known of the point stays."""
        self.whole.clear()
        self.other.clear()

    def sentences(self) -> Iterator[tuple[str, str]]:
        """Each column that has whole floats, and how it is read."""
        for column, whole in self.whole.items():
            other = f"; others, such as {self.other[column]}, are read as they are" if column in self.other else ""
            if self.broken is None:
                yield column, f"ids such as {whole} are read without the point{other}"
            else:
                yield column, f"{whole} keeps its point, since not all ids with one are whole numbers: {self.broken}"


class IdColumns:
    """The id columns of one mapping, as texts. columns: canonical name -> the files' name; writings: of all files."""

    def __init__(self, columns: Mapping[str, str], settings: TableFiles, writings: Mapping[str, IdWriting]) -> None:
        self._columns = columns
        self._settings = settings
        self._writings = writings

    def as_texts(self, raw: RawRows) -> RawRows:
        """The batch with its ids as texts; raises PointsMustStay."""
        ids = {
            theirs: self._as_ids(ours, theirs, raw.table[theirs])
            for ours, theirs in self._columns.items()
            if theirs in raw.table.columns
        }
        return replace(raw, table=raw.table.with_columns(**ids))

    def _as_ids(self, ours: str, theirs: str, cells: pl.Series) -> pl.Series:
        texts = _texts(cells)
        if texts.dtype != pl.String or self._settings.whole_ids is False:
            return texts
        if self._settings.whole_ids:
            return without_point(texts)
        return self._writings[ours].as_ids(theirs, without_words(texts, self._settings.null_words))


def ids_in(cells: pl.Series) -> pl.Series:
    """A sample of texts as the ids that they are read as, if there are no others."""
    return IdWriting().as_ids("", cells)


def _keep_first(kept: dict[str, str], column: str, cells: pl.Series, is_meant: pl.Series) -> None:
    if column not in kept and is_meant.any():
        kept[column] = cells.filter(is_meant)[0]


def _texts(cells: pl.Series) -> pl.Series:
    """Ids as the file has them, floats with their point."""
    if cells.dtype.is_float():
        given = cells.fill_nan(None)
        whole = given.cast(pl.Int64, strict=False).cast(pl.String) + ".0"
        return whole.zip_with((given == given.round()).fill_null(value=False), given.cast(pl.String))
    return cells if cells.dtype == pl.String or cells.dtype.is_nested() else cells.cast(pl.String, strict=False)
