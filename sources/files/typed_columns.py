"""From cells as they were found to the types of the canonical tables; a cell that is not of its kind refuses its row.

Where most cells of a file's first batch are not, it is the mapping that is wrong, and reading stops.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from contracts.errors import SourceError
from contracts.settings.files import ItemFiles, TableFiles
from sources.canonical.refusals import Refusals
from sources.files.raw_rows import RawRows
from sources.files.times import check_times, read_time, what_times_are

MOST = 0.5  # a share of wrong cells above which the mapping is wrong, not the cells
ONE = 1  # wrong cell says nothing of the others
THOUSANDS = r"^[+-]?\d{1,3}(\.\d{3})+(,\d+)?$"  # 1.234,5: elsewhere a point is no grouping


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
        cells = _told(table[source], settings)
        _check_kind(cells, place, source)
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


def _told(cells: pl.Series, settings: TableFiles) -> pl.Series:
    is_word = cells.dtype == pl.String and len(settings.null_words) > 0
    return cells.set(cells.str.strip_chars().is_in(settings.null_words), None) if is_word else cells


def _check_kind(cells: pl.Series, place: Place, source: str) -> None:
    inner = cells.dtype.inner if isinstance(cells.dtype, pl.List) else cells.dtype
    if inner.is_nested():
        raise SourceError(
            f"{place.file}, column {source}: its cells are {cells.dtype}; expected texts, numbers or lists of them.",
            "Export what is meant as a column of its own; in JSON lines, dots lead into objects.",
        )


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
    return (with_point(plain) if decimal == "," else plain).cast(pl.Float64, strict=False)


def with_point(number: pl.Expr) -> pl.Expr:
    """A number with a decimal comma as one with a point; null where a point parts anything but thousands."""
    sound = ~number.str.contains(".", literal=True) | number.str.contains(THOUSANDS)
    plain = number.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    return pl.when(sound).then(plain)


def _texts(cells: pl.Series, separator: str) -> pl.Expr:
    cell = pl.col("cell")
    if isinstance(cells.dtype, pl.List):
        return _tidy(cell.cast(pl.List(pl.String), strict=False))
    parted = cell.cast(pl.String).str.split(separator)
    return _tidy(pl.coalesce(pl.lit(_json_lists(cells)), parted) if cells.dtype == pl.String else parted)


def _json_lists(cells: pl.Series) -> pl.Series:
    """The cells that are JSON lists of texts, null elsewhere."""
    bracketed = cells.set(~cells.str.starts_with("["), None)
    try:
        return bracketed.str.json_decode(pl.List(pl.String))
    except pl.exceptions.ComputeError:  # a bracket begins something else in one of them
        return pl.Series([_json_list(cell) for cell in bracketed], dtype=pl.List(pl.String))


def _json_list(cell: str | None) -> list[str] | None:
    try:
        found = json.loads(cell or "null")
    except ValueError:
        return None
    is_list = isinstance(found, list) and all(isinstance(one, str) for one in found)
    return found if is_list else None


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
