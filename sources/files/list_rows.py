"""Rows whose cells are lists: one row for each element."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from contracts.errors import SourceError
from sources.files.formats.row_batch import RawRows
from sources.files.list_cells import lists_in


def exploded(raw: RawRows, columns: Sequence[str], file: str) -> RawRows:
    """The batch with a row for each element of the lists in `columns`; their lists go in step. Other cells repeat.

    An empty list or cell is one row without a value. Every row keeps its number in the file.
    Raises SourceError where the lists of a row differ in length.
    """
    if not columns:
        return raw
    lists = raw.table.select(_nonempty(raw.table[name]).alias(name) for name in columns)
    lengths = lists.select(pl.all().list.len())
    uneven = lengths.select(pl.max_horizontal(pl.all()) != pl.min_horizontal(pl.all())).to_series()
    if uneven.any():
        found = ", ".join(f"{n} in {name}" for name, n in lengths.filter(uneven).row(0, named=True).items())
        raise SourceError(
            f"{file}, row {raw.rows.filter(uneven)[0]}: the lists of `explode` have different lengths: {found}.",
            "Name only columns there whose lists go in step; a list of categories needs no `explode`.",
        )
    whole = raw.table.with_columns(lists).with_columns(raw.rows.alias(_ROW)).explode(list(columns))
    return replace(raw, rows=whole[_ROW].alias(raw.rows.name), table=whole.drop(_ROW))


_ROW = "\x00row"


def _nonempty(cells: pl.Series) -> pl.Series:
    """Lists of texts; what is no list is the one element of its own."""
    lists = lists_in(cells if isinstance(cells.dtype, pl.List) else cells.cast(pl.String))
    if not isinstance(cells.dtype, pl.List):
        alone = cells.cast(pl.String).to_frame("cell").select(pl.concat_list("cell")).to_series()
        lists = lists.zip_with(lists.is_not_null(), alone)
    is_empty = (lists.list.len() == 0).fill_null(value=True)
    nothing = pl.Series([[None]], dtype=pl.List(pl.String)).new_from_index(0, len(lists))
    return lists.zip_with(~is_empty, nothing)
