"""From the cells of a file to the types of the canonical tables; a cell that cannot be read refuses its row.

Where most cells of a file's first batch cannot be read, the mapping is wrong, and reading stops.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from contracts.errors import SourceError
from contracts.settings.files import ItemFiles, TableFiles
from sources.canonical.origins import FINGERPRINT
from sources.canonical.refusals import Refusals
from sources.files.cells import is_blank, number, text, without_words, yes_or_no
from sources.files.formats.row_batch import RawRows
from sources.files.list_cells import separated
from sources.files.times import check_times, expected_time, read_time, skipped_by_clocks

MOST = 0.5  # the share of wrong cells above which the mapping is wrong, not the cells
ONE = 1  # a single wrong cell says nothing about the others


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

    values: aligned with cells, null where a cell is blank or could not be read; skipped: of times, which of them the
    clocks of the zone skipped.
    """

    source: str
    expected: str
    cells: pl.Series
    values: pl.Series
    skipped: pl.Series | None = None
    zone: str | None = None

    @cached_property
    def is_wrong(self) -> pl.Series:
        """Which cells hold something that could not be read."""
        return self.values.is_null() & ~is_blank(self.cells)

    @property
    def reason(self) -> pl.Expr:
        """Why each wrong cell is refused, in words."""
        usual = pl.lit(f"expected {self.expected}")
        if self.skipped is None:
            return usual
        told = (
            f"there is no such time in {self.zone}: the clocks went forward over this hour. Is `time_zone` right? "
            "Times that are UTC, or of another zone, have such an hour"
        )
        return pl.when(pl.lit(self.skipped.filter(self.is_wrong))).then(pl.lit(told)).otherwise(usual)


def typed(
    raw: RawRows,
    columns: Mapping[str, str],
    schema: pl.Schema,
    settings: TableFiles,
    batch: BatchSource,
    refusals: Refusals,
) -> pl.DataFrame:
    """The batch in canonical columns and types, beside `row` and, of interactions, FINGERPRINT where it is there.

    columns: canonical name -> the file's.

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
    if batch.table == "interactions" and FINGERPRINT in raw.table.columns:
        values.append(raw.table[FINGERPRINT])
    return pl.DataFrame([*values, raw.rows.alias("row")]).filter(~is_refused)


def _typed_column(
    raw: RawRows, source: str, dtype: pl.DataType, settings: TableFiles, batch: BatchSource
) -> _TypedColumn:
    cells = without_words(raw.table[source], settings.null_words)
    _check_is_flat(cells, batch, source)
    reader = _reader(dtype, cells, settings)
    if reader.is_time:
        check_times(cells, settings, batch.file, source, raw.rows)
    values = pl.DataFrame({"cell": cells}).select(reader.read).to_series()
    skipped = skipped_by_clocks(cells, settings) if reader.is_time else None
    return _TypedColumn(source, reader.expected, cells, values, skipped, settings.time_zone)


def _check_is_flat(cells: pl.Series, batch: BatchSource, source: str) -> None:
    inner = cells.dtype.inner if isinstance(cells.dtype, pl.List) else cells.dtype
    if inner.is_nested():
        raise SourceError(
            f"{batch.file}, column {source}: its cells are {cells.dtype}; expected texts, numbers or lists of them.",
            "Export what is meant as a column of its own; in JSON lines, dots lead into objects.",
        )


def _reader(dtype: pl.DataType, cells: pl.Series, settings: TableFiles) -> CellReader:
    match dtype:
        case pl.Datetime():
            return CellReader(expected_time(settings), read_time(cells, settings), is_time=True)
        case pl.Float64():
            amount = number(cells, settings.decimal)
            return CellReader("a finite number", pl.when(amount.is_finite()).then(amount))
        case pl.Int32():
            amount = number(cells, settings.decimal)
            return CellReader(
                "a whole number", pl.when(amount == amount.round()).then(amount).cast(pl.Int32, strict=False)
            )
        case pl.Boolean():
            return CellReader(
                "yes or no, true or false, in stock or out of stock, or a number", yes_or_no(cells, settings.decimal)
            )
        case pl.List() if isinstance(settings, ItemFiles):  # categories: no other table has a list
            return CellReader("a text or a list of texts", pl.lit(separated(cells, settings.category_separator)))
        case _:
            return CellReader("text", text(cells))


def _refused_rows(column: _TypedColumn, rows: pl.Series, batch: BatchSource) -> pl.DataFrame:
    wrong = column.is_wrong
    return pl.DataFrame(
        {"row": rows.filter(wrong), "found": column.cells.filter(wrong).cast(pl.String, strict=False)}
    ).with_columns(
        table=pl.lit(batch.table),
        file=pl.lit(batch.file),
        column=pl.lit(column.source),
        reason=column.reason,
    )


def _check_most(column: _TypedColumn, rows: pl.Series, batch: BatchSource, settings: TableFiles) -> None:
    """Raise SourceError where most of the filled cells are wrong."""
    wrong = column.is_wrong
    n_filled, n_wrong = int((~is_blank(column.cells)).sum()), int(wrong.sum())
    if n_wrong <= max(MOST * n_filled, ONE):
        return
    row, cell = rows.filter(wrong)[0], str(column.cells.filter(wrong)[0])[:200]
    advice = "Look whether it is the right column"
    if "number" in column.expected and settings.decimal == "." and "," in cell:
        advice = (
            'Set `decimal: ","` beside its path, if that is what the comma is in all files of the path; write this one '
            "like the others, if it is so in this one alone"
        )
    raise SourceError(
        f"{batch.file}, row {row}, column {column.source}: found {cell!r}; expected {column.expected}. "
        f"{n_wrong:,} of the first {n_filled:,} cells are like this.",
        f"{advice}; the mapping stands under ingest.files in params.yaml.",
    )
