"""Ids that were written as floats, because one of them was missing: `17850.0` is the person `17850`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import polars as pl

from contracts.errors import SourceError
from sources.files.cells import WHOLE_FLOAT, are_whole_floats, is_blank, without_point
from sources.files.formats.row_batch import RawRows


class IdColumns:
    """The id columns of one file, as texts. Its first batch tells how they are written, unless the mapping does."""

    def __init__(self, file: str, columns: Collection[str], whole_ids: bool | None) -> None:
        self._file = file
        self._columns = columns
        self._stated = whole_ids
        self._are_whole: dict[str, bool] = {}

    def as_texts(self, raw: RawRows) -> RawRows:
        """The batch with its ids as texts; whole floats without their point where all of the file are.

        Raises SourceError where the first batch had whole floats alone and a later one has something else.
        """
        names = [name for name in self._columns if name in raw.table.columns]
        ids = {name: self._read(name, raw, _texts(raw.table[name])) for name in names}
        return replace(raw, table=raw.table.with_columns(**ids))

    def _read(self, name: str, raw: RawRows, ids: pl.Series) -> pl.Series:
        if self._stated is not None:
            return without_point(ids) if self._stated else ids
        are_whole = self._are_whole.setdefault(name, are_whole_floats(ids))
        if not are_whole:
            return ids
        others = ~is_blank(ids) & ~ids.str.strip_chars().str.contains(WHOLE_FLOAT)
        if others.any():
            row, other = raw.rows.filter(others)[0], ids.filter(others)[0]
            raise SourceError(
                f"{self._file}, row {row}, column {name}: found {other!r}, while every id before it is a whole number "
                "with a point, such as 17850.0.",
                "Say how they are meant: `whole_ids: true` beside its path in params.yaml takes the point away where "
                "one is, `whole_ids: false` keeps every id as it is written.",
            )
        return without_point(ids)


def _texts(cells: pl.Series) -> pl.Series:
    """Ids as the file has them, floats with their point."""
    if cells.dtype.is_float():
        given = cells.fill_nan(None)
        whole = given.cast(pl.Int64, strict=False).cast(pl.String) + ".0"
        return whole.zip_with((given == given.round()).fill_null(value=False), given.cast(pl.String))
    return cells if cells.dtype == pl.String or cells.dtype.is_nested() else cells.cast(pl.String, strict=False)
