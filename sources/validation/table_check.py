"""One table against its suites: valid rows, rows in quarantine with the reasons, and what stops the run.

Rows go from file to file in batches: no table is in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from contracts.drift import ColumnDrift
from contracts.tables import SCHEMAS, SORT_KEYS
from sources.canonical.origins import ORIGIN, ORIGIN_SCHEMA, Origins
from sources.canonical.row_text import as_line
from sources.validation.row_batches import POSITION, batches, row_file
from sources.validation.suite_engine import IN_PROCESS, SuiteEngine
from sources.validation.suite_run import RuleResult, SuiteRun, merged, run_suite
from sources.validation.suites import (
    CATEGORY_SHARE,
    KEPT,
    PSI,
    QUARANTINED,
    READABLE,
    REPEATED,
    Level,
    Rule,
    layout_rules,
)

REASON = "reason"
DETAIL = "detail"
# What a row in quarantine has besides its table's columns: where it was, what could not be read, the rules broken.
QUARANTINE_COLUMNS = pl.Schema({**ORIGIN_SCHEMA, DETAIL: pl.String(), REASON: pl.String()})
UNREADABLE = "readable"  # the reason of a row that could not be read: the rule that it breaks
N_EXAMPLES = 3


@dataclass(frozen=True)
class Failure:
    """A table-level rule that broke. observed: what was measured; count: the rows it concerns, of n_rows."""

    table: str
    rule: str
    says: str
    observed: str
    count: int
    n_rows: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        head = f"{self.table} break rule `{self.rule}`: expected that {self.says}; found {self.observed}"
        return "\n".join([f"{head} ({self.count:,} of {self.n_rows:,} rows).", *(f"  {row}" for row in self.examples)])


@dataclass(frozen=True)
class RowFolders:
    """Where the rows of the tables go: the folder of the valid ones, and the quarantine."""

    valid: Path
    quarantine: Path

    def valid_file(self, name: str) -> Path:
        return self.valid / f"{name}.parquet"

    def quarantine_file(self, name: str) -> Path:
        return self.quarantine / f"{name}.parquet"


@dataclass(frozen=True)
class TableCheck:
    """What came of one table: n_valid rows and n_quarantined ones, in the files of RowFolders.

    n_unreadable: those in quarantine that never became a row of the table.
    """

    n_valid: int
    n_quarantined: int = 0
    runs: tuple[SuiteRun, ...] = ()
    failures: tuple[Failure, ...] = ()
    n_unreadable: int = 0

    @property
    def n_rows(self) -> int:
        return self.n_valid + self.n_quarantined

    def with_run(self, run: SuiteRun, failures: Sequence[Failure]) -> TableCheck:
        """The check with the results of one more suite."""
        return replace(self, runs=(*self.runs, run), failures=(*self.failures, *failures))


@dataclass(frozen=True)
class RowCheck:
    """How the rows of a table are checked. marks: columns the rules look at besides the table's own.

    measured: for a table-level rule, by the column it looks at, the frame it is checked on.
    origins: where the rows of the table were read; refused: rows that could not be read (see `canonical.refusals`).
    """

    rules: Sequence[Rule]
    marks: Mapping[str, pl.Expr]
    measured: Mapping[str, pl.DataFrame]
    origins: Origins
    refused: pl.DataFrame
    engine: SuiteEngine
    batch_rows: int


def check_layout(name: str, table: pl.LazyFrame) -> TableCheck:
    """Check columns and types alone. Where they differ nothing is valid, because no other rule can be checked."""
    schema = table.collect_schema()
    layout = pl.DataFrame({column: [str(dtype)] for column, dtype in schema.items()})
    run = run_suite(f"{name}: columns and types", layout, layout_rules(SCHEMAS[name], schema.names()))
    broken = _broken_table_rules(run)
    if not broken:
        return TableCheck(0, runs=(run,))
    n_rows = table.select(pl.len()).collect().item()
    rows = _Examples(n_rows, table.head(N_EXAMPLES).collect())
    return TableCheck(0, runs=(run,), failures=tuple(_failure(name, one, rows, n_rows) for one in broken))


def check_rows(name: str, table: pl.LazyFrame, check: RowCheck, folders: RowFolders) -> TableCheck:
    """Check the rows of a table, sorted by its keys; each goes into the valid or the quarantine file of `folders`."""
    results = _BatchResults(name, check)
    with (
        row_file(folders.valid_file(name), SCHEMAS[name]) as valid,
        row_file(folders.quarantine_file(name), pl.Schema({**SCHEMAS[name], **QUARANTINE_COLUMNS})) as quarantined,
    ):
        for rows in batches(name, table, check.batch_rows):
            reasons = results.reasons(rows)
            valid.add(rows.filter(reasons.is_null()).drop(POSITION))
            broken = rows.with_columns(reasons).filter(reasons.is_not_null())
            quarantined.add(_with_origin(name, broken, check.origins))
        quarantined.add(_refused_rows(name, check.refused))
    return results.table_check(valid.n_rows, quarantined.n_rows)


class _BatchResults:
    """What the rules say of one table, whose rows come in batches."""

    def __init__(self, name: str, check: RowCheck) -> None:
        self._name = name
        self._check = check
        self._row_rules = [rule for rule in check.rules if rule.level is Level.ROW]
        self._examples = {rule.example_column: _Examples() for rule in check.rules if rule.example_column}
        self._runs: list[SuiteRun] = []
        self._repeated: list[pl.Series] = []

    def reasons(self, rows: pl.DataFrame) -> pl.Series:
        """For each row of a batch the names of the row-level rules it breaks; null where it breaks none."""
        marked = rows.with_columns(_is_repeated(self._name)).with_columns(**self._check.marks)
        run = run_suite(self._name, marked, self._row_rules, self._check.engine)
        self._runs.append(replace(run, broken={}))
        self._repeated.append(marked[REPEATED])
        for column, examples in self._examples.items():
            examples.add(marked.filter(pl.col(column)), self._name, self._check.origins)
        return _reasons(run)

    def table_check(self, n_valid: int, n_quarantined: int) -> TableCheck:
        """What came of the table; its table-level rules are checked now."""
        check = TableCheck(n_valid, n_quarantined, n_unreadable=len(self._check.refused))
        if not self._runs:
            return check
        run = merged(self._name, [*self._runs, *self._table_runs()], self._check.rules)
        n_rows = check.n_rows - check.n_unreadable
        failures = [
            _failure(self._name, broken, self._examples[broken.rule.example_column or ""], n_rows)
            for broken in _broken_table_rules(run)
        ]
        return check.with_run(run, failures)

    def _table_runs(self) -> Iterator[SuiteRun]:
        repeated = pl.DataFrame({REPEATED: pl.concat(self._repeated).cast(pl.Int32)})
        measured = {REPEATED: repeated, **self._check.measured}
        for rule in self._check.rules:
            if rule.level is Level.TABLE:
                yield run_suite(self._name, measured[rule.columns[0]], [rule], self._check.engine)


def check_outcome(
    name: str, check: TableCheck, rules: Sequence[Rule], folders: RowFolders, engine: SuiteEngine = IN_PROCESS
) -> TableCheck:
    """Check the rules about volume and quarantine as well."""
    if not rules:
        return check
    n_bad = check.n_quarantined
    is_bad = pl.int_range(check.n_rows, eager=True) < n_bad
    measured = pl.DataFrame(
        {
            QUARANTINED: is_bad.cast(pl.Int32),
            KEPT: (~is_bad).cast(pl.Int32),
            READABLE: pl.int_range(check.n_rows, eager=True) >= check.n_unreadable,
        }
    )
    run = run_suite(f"{name}: outcome", measured, rules, engine)
    aside = pl.read_parquet(folders.quarantine_file(name), n_rows=N_EXAMPLES)
    kept = pl.read_parquet(folders.valid_file(name), n_rows=N_EXAMPLES)
    examples = {
        QUARANTINED: _Examples(n_bad, aside),
        None: _Examples(check.n_rows, pl.concat([aside, kept], how="diagonal").head(N_EXAMPLES)),
    }
    failures = [
        _failure(name, one, examples[one.rule.example_column], check.n_rows) for one in _broken_table_rules(run)
    ]
    return check.with_run(run, failures)


def check_drift(name: str, check: TableCheck, drifts: Sequence[ColumnDrift], rules: Sequence[Rule]) -> TableCheck:
    """Compare the columns with the baseline's as well; drifts: of the columns that can be judged."""
    if not rules:
        return check
    measured = {rule.columns[0]: [_measure(rule, drifts)] for rule in rules}
    run = run_suite(f"{name}: against the baseline", pl.DataFrame(measured), rules)
    moved = {drift.column: drift for drift in drifts}
    failures = [
        Failure(
            name,
            result.rule.name,
            result.rule.says,
            result.measured,
            check.n_rows,
            check.n_rows,
            tuple(_drift_examples(moved[_drifted_column(result.rule)])),
        )
        for result in _broken_table_rules(run)
    ]
    return check.with_run(run, failures)


def _measure(rule: Rule, drifts: Sequence[ColumnDrift]) -> float:
    drift = next(one for one in drifts if one.column == _drifted_column(rule))
    return drift.category_share if rule.columns[0].endswith(CATEGORY_SHARE) else drift.psi or 0.0


def _drifted_column(rule: Rule) -> str:
    return rule.columns[0].removesuffix(CATEGORY_SHARE).removesuffix(PSI)


def _drift_examples(drift: ColumnDrift) -> Iterator[str]:
    for one in drift.most_moved[:N_EXAMPLES]:
        yield f"{one.label}: {one.then:.1%} of the baseline's rows, {one.now:.1%} now"
    if drift.reason:
        yield drift.reason


class _Examples:
    """How many rows a failure concerns, and the first of them."""

    def __init__(self, count: int = 0, first: pl.DataFrame | None = None) -> None:
        self.count = count
        self.first = first

    def add(self, rows: pl.DataFrame, name: str, origins: Origins) -> None:
        n_known = 0 if self.first is None else len(self.first)
        self.count += len(rows)
        if rows.is_empty() or n_known >= N_EXAMPLES:
            return
        head = rows.head(N_EXAMPLES - n_known)
        with_origin = head.hstack(origins.of(name, head[POSITION]))
        self.first = with_origin if self.first is None else pl.concat([self.first, with_origin])


def _is_repeated(name: str) -> pl.Expr:
    same = (pl.col(key).eq_missing(pl.col(key).shift(1)) for key in SORT_KEYS[name])
    return ((pl.int_range(pl.len()) > 0) & pl.all_horizontal(same)).alias(REPEATED)


def _refused_rows(name: str, refused: pl.DataFrame) -> pl.DataFrame:
    column = pl.concat_str(pl.lit("column "), "column", pl.lit(": "))
    cell = pl.concat_str(pl.lit("found "), pl.col("found").fill_null("nothing"), pl.lit("; "), "reason")
    return refused.select(
        *(pl.lit(None, kind).alias(one) for one, kind in SCHEMAS[name].items()),
        *ORIGIN,
        pl.concat_str(column.fill_null(""), cell).alias(DETAIL),
        pl.lit(UNREADABLE).alias(REASON),
    )


def _with_origin(name: str, rows: pl.DataFrame, origins: Origins) -> pl.DataFrame:
    """Rows with their position and reason, as rows of the quarantine."""
    known = rows.drop(POSITION).hstack(origins.of(name, rows[POSITION]))
    return known.with_columns(pl.lit(None, pl.String).alias(DETAIL)).select([*SCHEMAS[name], *QUARANTINE_COLUMNS])


def _reasons(run: SuiteRun) -> pl.Series:
    """For each row the names of the row-level rules it breaks, in the suite's order; null where it breaks none."""
    broken = [pl.DataFrame({"row": rows, REASON: rule}) for rule, rows in run.broken.items() if len(rows)]
    if not broken:
        return pl.repeat(None, run.n_rows, dtype=pl.String, eager=True).alias(REASON)
    every_row = pl.DataFrame({"row": pl.int_range(run.n_rows, eager=True)})
    reasons = pl.concat(broken).group_by("row", maintain_order=True).agg(pl.col(REASON).str.join(", "))
    return every_row.join(reasons, on="row", how="left", maintain_order="left")[REASON]


def _broken_table_rules(run: SuiteRun) -> list[RuleResult]:
    return [result for result in run.results if result.rule.level is Level.TABLE and not result.passed]


def _failure(name: str, result: RuleResult, examples: _Examples, n_rows: int) -> Failure:
    rule = result.rule
    first = pl.DataFrame() if examples.first is None else examples.first
    shown = first.select(column for column in first.columns if column in SCHEMAS[name] or column in QUARANTINE_COLUMNS)
    lines = tuple(as_line(row) for row in shown.iter_rows(named=True))
    return Failure(name, rule.name, rule.says, result.measured, examples.count, n_rows, lines)
