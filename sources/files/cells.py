"""The cells of a file as texts and numbers, whatever type the file gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

THOUSANDS = r"^[+-]?\d{1,3}(\.\d{3})+(,\d+)?$"  # 1.234,5: a point anywhere else groups no thousands
# As `word_of` writes them: "In Stock", in_stock and https://schema.org/InStock are one word.
YES_WORDS: Final = (
    "true", "t", "yes", "y", "ja", "j", "oui", "si", "sí", "instock", "available", "availabletoorder", "onlineonly",
    "limitedavailability", "lieferbar", "verfügbar", "verfuegbar", "auflager", "enstock", "disponible", "disponibile",
)  # fmt: skip
NO_WORDS: Final = (
    "false", "f", "no", "n", "nein", "non", "outofstock", "unavailable", "notavailable", "soldout", "discontinued",
    "nichtlieferbar", "nichtverfügbar", "nichtverfuegbar", "ausverkauft", "rupturedestock", "épuisé", "agotado",
    "esaurito", "nodisponible", "nondisponibile",
)  # fmt: skip
WHOLE_FLOAT: Final = r"^[+-]?\d+\.0+$"  # 17850.0: a whole number that became a float because another one was missing
BROKEN_NUMBER: Final = r"^\s*[+-]?\d+\.\d*[1-9]\d*\s*$"  # 1.5, 1.10


def is_blank(cells: pl.Series) -> pl.Series:
    """Where a cell holds nothing but blanks."""
    return cells.is_null() | (cells.str.strip_chars() == "") if cells.dtype == pl.String else cells.is_null()


def text(cells: pl.Series) -> pl.Expr:
    """The column `cell` as texts, null where it is empty; floats that are all whole lose their point."""
    cell = pl.col("cell")
    if cells.dtype == pl.String:
        return pl.when(cell != "").then(cell)
    if cells.dtype.is_float() and _are_whole(cells.fill_nan(None).drop_nulls()):
        # Whole numbers that became floats because one of them was missing.
        return cell.fill_nan(None).cast(pl.Int64, strict=False).cast(pl.String)
    return cell.cast(pl.String, strict=False)


def without_point(cells: pl.Series) -> pl.Series:
    """Texts, of which those that are whole floats (17850.0) lose the point."""
    return cells.zip_with(~are_whole_floats(cells), cells.str.replace(r"\.0+$", ""))


def are_whole_floats(cells: pl.Series) -> pl.Series:
    """Which of these texts are whole floats (17850.0)."""
    return cells.str.contains(WHOLE_FLOAT).fill_null(value=False)


def are_broken_numbers(cells: pl.Series) -> pl.Series:
    """Which of these texts are numbers with a point that are not whole (1.5)."""
    return cells.str.contains(BROKEN_NUMBER).fill_null(value=False)


def without_words(cells: pl.Series, null_words: Sequence[str]) -> pl.Series:
    """Cells of which those that stand for no value are null."""
    is_word = cells.dtype == pl.String and len(null_words) > 0
    return cells.set(cells.str.strip_chars().is_in(null_words), None) if is_word else cells


def number(cells: pl.Series, decimal: str) -> pl.Expr:
    """The column `cell` as numbers; null where it is none. decimal: `.`, or `,` as in 1.234,5."""
    cell = pl.col("cell")
    if cells.dtype != pl.String:
        return cell.cast(pl.Float64, strict=False)
    plain = cell.str.strip_chars()
    return (with_point(plain) if decimal == "," else plain).cast(pl.Float64, strict=False)


def yes_or_no(cells: pl.Series, decimal: str) -> pl.Expr:
    """The column `cell` as booleans: by its word, or, of a number, whether it is above 0; null where it is neither."""
    if cells.dtype == pl.Boolean:
        return pl.col("cell")
    amount = number(cells, decimal)
    is_some = pl.when(amount.is_not_nan()).then(amount > 0)
    if cells.dtype != pl.String:
        return is_some
    words = pl.lit(cells.map_elements(word_of, pl.String))
    return pl.when(words.is_in(YES_WORDS)).then(True).when(words.is_in(NO_WORDS)).then(False).otherwise(is_some)


def word_of(cell: str) -> str:
    """A cell as one word: lower case, letters and digits alone."""
    return "".join(filter(str.isalnum, cell.strip().lower().rsplit("schema.org/", 1)[-1]))


def with_point(amount: pl.Expr) -> pl.Expr:
    """A number with a decimal comma as one with a point; null where a point does not group thousands."""
    sound = ~amount.str.contains(".", literal=True) | amount.str.contains(THOUSANDS)
    plain = amount.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    return pl.when(sound).then(plain)


def _are_whole(numbers: pl.Series) -> bool:
    return bool((numbers == numbers.round()).all())
