"""From the cells of a file to the types of the canonical tables; a cell that cannot be read refuses its row.

Where most cells of a file's first batch cannot be read, the mapping is wrong, and reading stops.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from contracts.errors import SourceError
from contracts.settings.files import ItemFiles, TableFiles
from sources.canonical.refusals import Refusals
from sources.files.raw_rows import RawRows
from sources.files.times import check_times, expected_time, read_time

MOST = 0.5  # the share of wrong cells above which the mapping is wrong, not the cells
ONE = 1  # a single wrong cell says nothing about the others
THOUSANDS = r"^[+-]?\d{1,3}(\.\d{3})+(,\d+)?$"  # 1.234,5: a point anywhere else groups no thousands


@dataclass(frozen=True)
class BatchSource:
    """Where a batch comes from: the canonical table, the file's name, and whether it is the file's first batch."""

    table: str
    file: str
    is_first: bool


@dataclass(frozen=True)
class CellReader:
    """How a cell is read, and what it should be, in words."""

    expected: str
    read: pl.Expr
    is_time: bool = False


@dataclass(frozen=True)
class _TypedColumn:
    """One column of a batch. source: its name in the file; expected: what its cells should be, in words.

    values: aligned with cells, null where a cell is blank or could not be read.
    """

    source: str
    expected: str
    cells: pl.Series
    values: pl.Series

    @cached_property
    def is_wrong(self) -> pl.Series:
        """Which cells hold something that could not be read."""
        return self.values.is_null() & ~_is_blank(self.cells)


def typed(
    raw: RawRows,
    columns: Mapping[str, str],
    schema: pl.Schema,
    settings: TableFiles,
    batch: BatchSource,
    refusals: Refusals,
) -> pl.DataFrame:
    """The batch in canonical columns and types, beside `row`; columns: canonical name -> the file's.

    Rows with a cell that cannot be read go to refusals. Raises SourceError when most cells of a column cannot.
    """
    refusals.add_ragged(batch.table, batch.file, raw.ragged)
    is_refused = pl.repeat(False, len(raw.rows), eager=True)
    values: list[pl.Series] = []
    for name, source in columns.items():
        column = _typed_column(raw, source, schema[name], settings, batch)
        if batch.is_first:
            _check_most(column, raw.rows, batch, settings)
        refusals.add(_refused_rows(column, raw.rows, batch))
        is_refused |= column.is_wrong
        values.append(column.values.alias(name))
    return pl.DataFrame([*values, raw.rows.alias("row")]).filter(~is_refused)


def _typed_column(
    raw: RawRows, source: str, dtype: pl.DataType, settings: TableFiles, batch: BatchSource
) -> _TypedColumn:
    cells = _without_null_words(raw.table[source], settings)
    _check_is_flat(cells, batch, source)
    reader = _reader(dtype, cells, settings)
    if reader.is_time:
        check_times(cells, settings, batch.file, source, raw.rows)
    values = pl.DataFrame({"cell": cells}).select(reader.read).to_series()
    return _TypedColumn(source, reader.expected, cells, values)


def _without_null_words(cells: pl.Series, settings: TableFiles) -> pl.Series:
    is_word = cells.dtype == pl.String and len(settings.null_words) > 0
    return cells.set(cells.str.strip_chars().is_in(settings.null_words), None) if is_word else cells


def _check_is_flat(cells: pl.Series, batch: BatchSource, source: str) -> None:
    inner = cells.dtype.inner if isinstance(cells.dtype, pl.List) else cells.dtype
    if inner.is_nested():
        raise SourceError(
            f"{batch.file}, column {source}: its cells are {cells.dtype}; expected texts, numbers or lists of them.",
            "Export what is meant as a column of its own; in JSON lines, dots lead into objects.",
        )


def _is_blank(cells: pl.Series) -> pl.Series:
    return cells.is_null() | (cells.str.strip_chars() == "") if cells.dtype == pl.String else cells.is_null()


def _reader(dtype: pl.DataType, cells: pl.Series, settings: TableFiles) -> CellReader:
    match dtype:
        case pl.Datetime():
            return CellReader(expected_time(settings), read_time(cells, settings), is_time=True)
        case pl.Float64():
            number = _number(cells, settings.decimal)
            return CellReader("a finite number", pl.when(number.is_finite()).then(number))
        case pl.Int32():
            number = _number(cells, settings.decimal)
            return CellReader(
                "a whole number", pl.when(number == number.round()).then(number).cast(pl.Int32, strict=False)
            )
        case pl.List() if isinstance(settings, ItemFiles):  # categories: no other table has a list
            return CellReader("a text or a list of texts", _texts(cells, settings.category_separator))
        case _:
            return CellReader("text", _text(cells))


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
    """A number with a decimal comma as one with a point; null where a point does not group thousands."""
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
        value = json.loads(cell or "null")
    except ValueError:
        return None
    return value if isinstance(value, list) and all(isinstance(one, str) for one in value) else None


def _tidy(texts: pl.Expr) -> pl.Expr:
    stripped = texts.list.eval(pl.element().str.strip_chars())
    return stripped.list.eval(pl.element().filter(pl.element() != "")).list.unique().list.sort()


def _refused_rows(column: _TypedColumn, rows: pl.Series, batch: BatchSource) -> pl.DataFrame:
    wrong = column.is_wrong
    return pl.DataFrame(
        {"row": rows.filter(wrong), "found": column.cells.filter(wrong).cast(pl.String, strict=False)}
    ).with_columns(
        table=pl.lit(batch.table),
        file=pl.lit(batch.file),
        column=pl.lit(column.source),
        reason=pl.lit(f"expected {column.expected}"),
    )


def _check_most(column: _TypedColumn, rows: pl.Series, batch: BatchSource, settings: TableFiles) -> None:
    """Raise SourceError where most of the filled cells are wrong."""
    wrong = column.is_wrong
    n_filled, n_wrong = int((~_is_blank(column.cells)).sum()), int(wrong.sum())
    if n_wrong <= max(MOST * n_filled, ONE):
        return
    row, cell = rows.filter(wrong)[0], str(column.cells.filter(wrong)[0])[:200]
    advice = "Look whether it is the right column"
    if "number" in column.expected and settings.decimal == "." and "," in cell:
        advice = 'Set `decimal: ","` beside its path, if that is what the comma is'
    raise SourceError(
        f"{batch.file}, row {row}, column {column.source}: found {cell!r}; expected {column.expected}. "
        f"{n_wrong:,} of the first {n_filled:,} cells are like this.",
        f"{advice}; the mapping stands under ingest.files in params.yaml.",
    )
