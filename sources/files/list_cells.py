"""Cells that hold several texts: lists as JSON or Python writes them, or texts with a separator between them."""

from __future__ import annotations

import ast
import json
from typing import Any, Final

import polars as pl

TEXTS: Final = pl.List(pl.String)
OF_OBJECTS: Final = r"^\s*\[\s*\{.*\}\s*\]\s*$"
BRACKETS: Final = ("[", "(", "{")
# Sets and frozensets come out of Python with a name before their brackets.
# What a tag that is an object is called by; the first that it has counts.
NAMING_KEYS: Final = ("name", "title", "label", "slug")
LIST_LIKE: Final = r"^\s*(\[.*\]|\(.*\)|\{.*\}|(frozen)?set\(.*\))\s*$"


def lists_in(cells: pl.Series) -> pl.Series:
    """Each cell as a list of texts where it is one, as JSON or Python writes lists, sets and tuples; null elsewhere.

    cells: texts, or lists already.
    """
    if isinstance(cells.dtype, pl.List):
        return cells.cast(TEXTS, strict=False)
    bracketed = cells.set(~cells.str.contains(LIST_LIKE).fill_null(value=False), None)
    try:
        return bracketed.str.json_decode(TEXTS)
    except pl.exceptions.ComputeError:  # some are Python's, or no lists at all
        words = bracketed.unique().drop_nulls()
        read = pl.Series([_list_in(word) for word in words], dtype=TEXTS)
        table = pl.DataFrame({"cell": words, "list": read})
        return pl.DataFrame({"cell": bracketed}).join(table, on="cell", how="left", maintain_order="left")["list"]


def separated(cells: pl.Series, separator: str) -> pl.Series:
    """Each cell as a list of texts: those of the list it is, or the parts between separators; sorted, none twice.

    Null where it is a list of objects without a name (NAMING_KEYS).
    """
    read = lists_in(cells)
    if cells.dtype == pl.String:
        texts = cells.set(cells.str.contains(OF_OBJECTS).fill_null(value=False), None)
        read = pl.select(pl.coalesce(pl.lit(read), pl.lit(texts.str.split(separator)))).to_series()
    stripped = read.list.eval(pl.element().str.strip_chars())
    return stripped.list.eval(pl.element().filter(pl.element() != "")).list.unique().list.sort()


def _list_in(cell: str) -> list[str] | None:
    value = _json(cell)
    if value is None:
        value = _literal(cell.strip().removeprefix("frozen").removeprefix("set"))
    named = [_name_of(one) for one in value] if isinstance(value, list | tuple | set) else [None]
    return [_as_text(one) for one in named] if all(_is_plain(one) for one in named) else None


def _name_of(one: object) -> object:
    """An object by what it is called; anything else as it is."""
    return next((one[key] for key in NAMING_KEYS if key in one), None) if isinstance(one, dict) else one


def _json(cell: str) -> Any:
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return None


def _literal(cell: str) -> Any:
    try:
        value = ast.literal_eval(cell)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    # `('Drama')` is a text in brackets.
    return (value,) if isinstance(value, str) else value


def _is_plain(one: object) -> bool:
    return isinstance(one, str | int | float) and not isinstance(one, bool)


def _as_text(one: object) -> str:
    return one if isinstance(one, str) else str(one)
