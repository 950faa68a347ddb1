"""Categories that an export keeps in several columns: each is read by itself, and an item has those of all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import polars as pl

CATEGORIES = "categories"
_READ_BY_ITSELF = re.compile(rf"{CATEGORIES}( \d+)?")


def category_columns(named: str | Sequence[str] | None) -> dict[str, str]:
    """By which name each column of an export is read; named: the column or columns of the mapping."""
    if named is None:
        return {}
    columns = [named] if isinstance(named, str) else named
    return {f"{CATEGORIES} {number}" if number else CATEGORIES: column for number, column in enumerate(columns)}


def category_columns_of(names: Iterable[str]) -> list[str]:
    """Those of the names that `category_columns` gave."""
    return [name for name in names if _READ_BY_ITSELF.fullmatch(name)]


def with_all_categories(items: pl.DataFrame) -> pl.DataFrame:
    """Items with the categories of all columns, each once and in order."""
    first, *others = category_columns_of(items.columns) or [CATEGORIES]
    if not others:
        return items
    several = pl.concat_list(pl.col(first, *others).fill_null([]))
    return items.with_columns(several.list.unique().list.sort().alias(CATEGORIES)).drop(others)
