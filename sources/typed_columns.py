"""From cells as they were found to the types of the canonical tables; a cell that is not of its kind refuses its row.

Where most cells of a file's first batch are not, it is the mapping that is wrong, and reading stops.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from contracts.errors import SourceError
from contracts.file_settings import ItemFiles, TableFiles
from sources.raw_rows import RawRows
from sources.refusals import Refusals
from sources.times import check_times, read_time, what_times_are

MOST = 0.5  # a share of wrong cells above which the mapping is wrong, not the cells
ONE = 1  # wrong cell says nothing of the others


@dataclass(frozen=True)
class Place:
    """Whose cells are read: the canonical table, the file's name, and whether this is its first batch."""

    table: str
    file: str
    is_first: bool


@dataclass(frozen=True)
class Kind:
    """How a cell is read, and what it should have been, in words."""

    words: str
    read: pl.Expr
    is_time: bool = False


def typed(
    raw: RawRows, columns: Mapping[str, str], schema: pl.Schema, settings: TableFiles, place: Place, refusals: Refusals
) -> pl.DataFrame:
    """The batch in canonical columns and types, beside `row`; columns: canonical name -> the file's.

    Rows with a cell that cannot be read go to refusals. Raises SourceError when most cells of a column cannot.
    """
    refusals.add_ragged(place.table, place.file, raw.ragged)
    table, refused = raw.table, pl.repeat(False, len(raw.rows), eager=True)
    read: dict[str, pl.Series] = {}
    for name, source in columns.items():
        cells = table[source]
        kind = _kind(schema[name], cells, settings)
        if kind.is_time:
            check_times(cells, settings, place.file, source, raw.rows)
        read[name] = pl.DataFrame({"cell": cells}).select(kind.read).to_series().alias(name)
        wrong = read[name].is_null() & ~_is_blank(cells)
        if place.is_first:
            _check_most(cells, wrong, kind, place, source, raw.rows, settings)
        refusals.add(_refused(raw.rows, cells, wrong, kind, place, source))
        refused |= wrong
    return pl.DataFrame([*read.values(), raw.rows.alias("row")]).filter(~refused)


def _is_blank(cells: pl.Series) -> pl.Series:
    return cells.is_null() | (cells.str.strip_chars() == "") if cells.dtype == pl.String else cells.is_null()


def _kind(dtype: pl.DataType, cells: pl.Series, settings: TableFiles) -> Kind:
    match dtype:
        case pl.Datetime():
            return Kind(what_times_are(settings), read_time(cells, settings), is_time=True)
        case pl.Float64():
            number = _number(cells, settings.decimal)
            return Kind("a finite number", pl.when(number.is_finite()).then(number))
        case pl.Int32():
            number = _number(cells, settings.decimal)
            return Kind("a whole number", pl.when(number == number.round()).then(number).cast(pl.Int32, strict=False))
        case pl.List() if isinstance(settings, ItemFiles):  # categories: no other table has a list
            return Kind("a text or a list of texts", _texts(cells, settings.category_separator))
        case _:
            return Kind("text", _text(cells))


def _text(cells: pl.Series) -> pl.Expr:
    cell = pl.col("cell")
    if cells.dtype == pl.String:
        return pl.when(cell != "").then(cell)
    if cells.dtype.is_float() and _are_whole(cells.fill_nan(None).drop_nulls()):
        # Whole numbers that became floats because one of them was missing.
        return cell.fill_nan(None).cast(pl.Int64, strict=False).cast(pl.String)
    return cell.cast(pl.String, strict=False)


def _are_whole(numbers: pl.Series) -> bool:
    return bool((numbers == numbers.round()).all())


def _number(cells: pl.Series, decimal: str) -> pl.Expr:
    cell = pl.col("cell")
    if cells.dtype != pl.String:
        return cell.cast(pl.Float64, strict=False)
    plain = cell.str.strip_chars()
    if decimal == ",":
        plain = plain.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    return plain.cast(pl.Float64, strict=False)


def _texts(cells: pl.Series, separator: str) -> pl.Expr:
    cell = pl.col("cell")
    if isinstance(cells.dtype, pl.List):
        return _tidy(cell.cast(pl.List(pl.String), strict=False))
    parted = cell.cast(pl.String).str.split(separator)
    lists = _json_lists(cells) if cells.dtype == pl.String else None
    return _tidy(parted if lists is None else pl.coalesce(pl.lit(lists), parted))


def _json_lists(cells: pl.Series) -> pl.Series | None:
    """The cells that are JSON lists of texts, null elsewhere; None where a bracket begins something else."""
    try:
        return cells.set(~cells.str.starts_with("["), None).str.json_decode(pl.List(pl.String))
    except pl.exceptions.ComputeError:
        return None


def _tidy(texts: pl.Expr) -> pl.Expr:
    stripped = texts.list.eval(pl.element().str.strip_chars())
    return stripped.list.eval(pl.element().filter(pl.element() != "")).list.unique().list.sort()


def _refused(
    rows: pl.Series, cells: pl.Series, wrong: pl.Series, kind: Kind, place: Place, source: str
) -> pl.DataFrame:
    return pl.DataFrame(
        {"row": rows.filter(wrong), "found": cells.filter(wrong).cast(pl.String, strict=False)}
    ).with_columns(
        table=pl.lit(place.table),
        file=pl.lit(place.file),
        column=pl.lit(source),
        reason=pl.lit(f"expected {kind.words}"),
    )


def _check_most(
    cells: pl.Series, wrong: pl.Series, kind: Kind, place: Place, source: str, rows: pl.Series, settings: TableFiles
) -> None:
    n_filled = int((~_is_blank(cells)).sum())
    n_wrong = int(wrong.sum())
    if n_wrong <= max(MOST * n_filled, ONE):
        return
    row, found = rows.filter(wrong)[0], str(cells.filter(wrong)[0])[:200]
    advice = "Look whether it is the right column"
    if "number" in kind.words and settings.decimal == "." and "," in found:
        advice = 'Set `decimal: ","` beside its path, if that is what the comma is'
    raise SourceError(
        f"{place.file}, row {row}, column {source}: found {found!r}; expected {kind.words}. "
        f"{n_wrong:,} of the first {n_filled:,} cells are like this.",
        f"{advice}; the mapping stands under ingest.files in params.yaml.",
    )
