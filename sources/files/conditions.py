"""Which rows of an export a mapping reads: its conditions, asked of the cells as the file has them."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import polars as pl

from contracts.errors import SourceError
from contracts.settings.files import Condition, TableFiles
from sources.files.cells import is_blank, number, text
from sources.files.formats.row_batch import RawRows


def kept_rows(raw: RawRows, settings: TableFiles, left_out: Counter[str]) -> RawRows:
    """The rows that `where` and `drop` leave; left_out counts the others by the first condition that they fail."""
    keeps = pl.repeat(True, len(raw.rows), eager=True)
    for condition in settings.where:
        keeps = _keep(keeps, holds(condition, raw.table, settings), f"not {condition}", left_out)
    for condition in settings.drop:
        keeps = _keep(keeps, ~holds(condition, raw.table, settings), str(condition), left_out)
    return RawRows(raw.rows.filter(keeps), raw.table.filter(keeps), raw.ragged, raw.absent)


def any_holds(conditions: Sequence[Condition], table: pl.DataFrame, settings: TableFiles) -> pl.Series:
    """Where at least one of the conditions holds; nowhere where there are none."""
    marks = pl.repeat(False, len(table), eager=True)
    for condition in conditions:
        marks |= holds(condition, table, settings)
    return marks


def holds(condition: Condition, table: pl.DataFrame, settings: TableFiles) -> pl.Series:
    """Where a condition holds; table: raw cells by the file's own column names."""
    cells = table[condition.column]
    blank = is_blank(cells)
    if condition.operator == "is_empty":
        return blank
    try:
        answer = pl.DataFrame({"cell": cells}).select(_test(condition, cells, settings)).to_series()
    except pl.exceptions.ComputeError as error:
        raise SourceError(
            f"The condition `{condition}` cannot be asked: {str(error).splitlines()[0]}.",
            "Mend the regular expression under ingest.files in params.yaml, or use `starts_with` or `one_of`.",
        ) from error
    return answer.fill_null(value=False) & ~blank


def _keep(keeps: pl.Series, marks: pl.Series, words: str, left_out: Counter[str]) -> pl.Series:
    n_rows = int((keeps & ~marks).sum())
    if n_rows:
        left_out[words] += n_rows
    return keeps & marks


def _test(condition: Condition, cells: pl.Series, settings: TableFiles) -> pl.Expr:
    if isinstance(condition.value, float) and condition.operator in _NUMBER_TESTS:
        return _NUMBER_TESTS[condition.operator](number(cells, settings.decimal), condition.value)
    return _TEXT_TESTS[condition.operator](text(cells).str.strip_chars(), condition.value)


def _as_word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


_NUMBER_TESTS: Final[Mapping[str, Callable[[pl.Expr, float], pl.Expr]]] = {
    "equals": operator.eq,
    "differs_from": lambda amount, value: (amount != value).fill_null(value=True),
    "below": operator.lt,
    "at_most": operator.le,
    "above": operator.gt,
    "at_least": operator.ge,
}
_TEXT_TESTS: Final[Mapping[str, Callable[[pl.Expr, Any], pl.Expr]]] = {
    "is_filled": lambda _words, _value: pl.lit(value=True),
    "equals": operator.eq,
    "differs_from": operator.ne,
    "one_of": lambda words, value: words.is_in(list(value)),
    "none_of": lambda words, value: ~words.is_in(list(value)),
    "starts_with": lambda words, value: words.str.starts_with(_as_word(value)),
    "matches": lambda words, value: words.str.contains(_as_word(value)),
}
