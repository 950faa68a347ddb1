"""One table against its suites: valid rows, rows in quarantine with the reasons, and what stops the run.

Rows go from file to file in batches: no table is in memory as a whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import polars as pl

from contracts.drift import ColumnDrift
from contracts.tables import SCHEMAS, SORT_KEYS
from sources.canonical.origins import FINGERPRINT, ORIGIN, Origins
from sources.validation.failures import (
    DETAIL,
    N_EXAMPLES,
    N_FILES,
    QUARANTINE_COLUMNS,
    REASON,
    AffectedRows,
    Failure,
    FileCounts,
    count_by_file,
    volume_lines,
)
from sources.validation.row_batches import FIRST, POSITION, batches, row_file
from sources.validation.suite_engine import IN_PROCESS, SuiteEngine
from sources.validation.suite_run import RuleResult, SuiteRun, merged, run_suite
from sources.validation.suites import (
    CATEGORY_SHARE,
    KEPT,
    PSI,
    QUARANTINED,
    READABLE,
    REPEATED,
    SWAPPED,
    Level,
    Rule,
    layout_rules,
)
from sources.validation.swapped_columns import Swap

UNREADABLE = "readable"  # the reason of a row that could not be read: the rule that it breaks


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

    n_unreadable: those in quarantine that never became a row of the table; files: the counts of each file.
    """

    n_valid: int
    n_quarantined: int = 0
    runs: tuple[SuiteRun, ...] = ()
    failures: tuple[Failure, ...] = ()
    n_unreadable: int = 0
    files: Mapping[str, FileCounts] = field(default_factory=dict)

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
    run = _layout_run(name, tuple((column, str(dtype)) for column, dtype in table.collect_schema().items()))
    broken = _broken_table_rules(run)
    if not broken:
        return TableCheck(0, runs=(run,))
    n_rows = table.select(pl.len()).collect().item()
    rows = AffectedRows.only(n_rows, table.head(N_EXAMPLES).collect())
    return TableCheck(0, runs=(run,), failures=tuple(_failure(name, one, rows, n_rows, {}) for one in broken))


@lru_cache(maxsize=32)
def _layout_run(name: str, layout: tuple[tuple[str, str], ...]) -> SuiteRun:
    # Names and types are all it looks at: who checks many tables of one layout pays the library's time once.
    types = pl.DataFrame({column: [dtype] for column, dtype in layout})
    return run_suite(f"{name}: columns and types", types, layout_rules(SCHEMAS[name], types.columns))


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
    counted = results.table_check(valid.n_rows, quarantined.n_rows)
    return replace(counted, files=_file_counts(name, check, folders))


def _file_counts(name: str, check: RowCheck, folders: RowFolders) -> Mapping[str, FileCounts]:
    rows_of = Counter(check.origins.file_counts(name))
    rows_of.update(dict(check.refused["file"].value_counts().iter_rows()))
    return count_by_file(rows_of, folders.quarantine_file(name))


class _BatchResults:
    """What the rules say of one table, whose rows come in batches."""

    def __init__(self, name: str, check: RowCheck) -> None:
        self._name = name
        self._check = check
        self._row_rules = [rule for rule in check.rules if rule.level is Level.ROW]
        self._affected = {rule.example_column: AffectedRows() for rule in check.rules if rule.example_column}
        self._runs: list[SuiteRun] = []
        self._repeated: list[pl.Series] = []

    def reasons(self, rows: pl.DataFrame) -> pl.Series:
        """For each row of a batch the names of the row-level rules it breaks; null where it breaks none."""
        repeated = _without_events_of_a_day(
            rows.with_columns(_is_repeated(self._name)), self._name, self._check.origins
        )
        marked = repeated.with_columns(_first_alike(), **self._check.marks)
        run = run_suite(self._name, marked, self._row_rules, self._check.engine)
        self._runs.append(replace(run, broken={}))
        self._repeated.append(marked[REPEATED])
        for column, affected in self._affected.items():
            rows_of_it = marked.filter(pl.col(column))
            rows_of_it = rows_of_it if column == REPEATED else rows_of_it.drop(FIRST)
            affected.add(rows_of_it, self._name, self._check.origins)
        return _reasons(run)

    def table_check(self, n_valid: int, n_quarantined: int) -> TableCheck:
        """What came of the table; its table-level rules are checked now."""
        check = TableCheck(n_valid, n_quarantined, n_unreadable=len(self._check.refused))
        if not self._runs:
            return check
        run = merged(self._name, [*self._runs, *self._table_runs()], self._check.rules)
        n_rows = check.n_rows - check.n_unreadable
        rows_of = self._check.origins.file_counts(self._name)
        failures = [
            _failure(self._name, broken, self._affected[broken.rule.example_column or ""], n_rows, rows_of)
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
    name: str,
    check: TableCheck,
    rules: Sequence[Rule],
    folders: RowFolders,
    engine: SuiteEngine = IN_PROCESS,
    *,
    baseline_rows: int = 0,
) -> TableCheck:
    """Check the rules about volume and quarantine as well. baseline_rows: how many rows the baseline has."""
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
    too_many = check.n_rows > baseline_rows > 0
    failures = [
        _bad_rows_failure(name, one, check, folders)
        if one.rule.example_column == QUARANTINED
        else _volume_failure(name, one, check, folders, too_many=too_many)
        for one in _broken_table_rules(run)
    ]
    return check.with_run(run, failures)


def _bad_rows_failure(name: str, result: RuleResult, check: TableCheck, folders: RowFolders) -> Failure:
    rows_of = {file: counts.n_rows for file, counts in check.files.items()}
    return _failure(name, result, AffectedRows.in_quarantine(folders.quarantine_file(name)), check.n_rows, rows_of)


def _volume_failure(
    name: str, result: RuleResult, check: TableCheck, folders: RowFolders, *, too_many: bool
) -> Failure:
    """What is wrong with the number of rows; rows are shown where no file can be named."""
    is_valid_alone = result.rule.columns == (KEPT,)
    counts = {file: one.n_rows - is_valid_alone * one.n_quarantined for file, one in check.files.items()}
    files = volume_lines(counts, too_many=too_many and not is_valid_alone)
    aside = pl.read_parquet(folders.quarantine_file(name), n_rows=N_EXAMPLES)
    kept = pl.read_parquet(folders.valid_file(name), n_rows=N_EXAMPLES)
    rows = AffectedRows.only(
        check.n_valid if is_valid_alone else check.n_rows,
        pl.concat([aside, kept], how="diagonal").head(0 if files else N_EXAMPLES),
    )
    return replace(_failure(name, result, rows, check.n_rows, {}), files=files)


def check_swaps(name: str, check: TableCheck, swaps: Sequence[Swap], rules: Sequence[Rule]) -> TableCheck:
    """Hold the files against each other as well; swaps: those in which two columns look swapped."""
    swapped = {swap.file for swap in swaps}
    measured = pl.DataFrame({SWAPPED: [int(file in swapped) for file in check.files] or [0]})
    run = run_suite(f"{name}: file against file", measured, rules)
    count = sum(check.files[file].n_rows for file in swapped)
    columns = tuple(sorted({column for swap in swaps for column in (swap.one, swap.other)}, reverse=True))
    failures = [
        Failure(
            name,
            result.rule.name,
            result.rule.says,
            result.measured,
            count,
            check.n_rows,
            (),
            tuple(map(str, swaps[:N_FILES])),
            file=swaps[0].file,
            columns=columns,
        )
        for result in _broken_table_rules(run)
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
            check.n_valid,
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


def _is_repeated(name: str) -> pl.Expr:
    # Two rows without an id are not about one person: what is missing repeats nothing.
    same = (pl.col(key) == pl.col(key).shift(1) for key in SORT_KEYS[name])
    return pl.all_horizontal(same).fill_null(value=False).alias(REPEATED)


def _without_events_of_a_day(rows: pl.DataFrame, name: str, origins: Origins) -> pl.DataFrame:
    """The rows, of which those with a fingerprint repeat another only where that has the same one.

    A time that is a whole day does not tell two events of that day apart.
    """
    if not rows[REPEATED].any():
        return rows
    alike = pl.col(REPEATED) | pl.col(REPEATED).shift(-1, fill_value=False)
    runs = rows.filter(alike).select(*SORT_KEYS[name], POSITION)
    runs = runs.with_columns(origins.fingerprints(name, runs[POSITION]))
    others = runs.filter(
        pl.col(FINGERPRINT).is_not_null() & pl.struct(*SORT_KEYS[name], FINGERPRINT).is_first_distinct()
    )
    return rows.with_columns(pl.col(REPEATED) & ~pl.col(POSITION).is_in(others[POSITION].implode()))


def _first_alike() -> pl.Expr:
    return pl.when(~pl.col(REPEATED)).then(pl.col(POSITION)).forward_fill().alias(FIRST)


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


def _failure(name: str, result: RuleResult, affected: AffectedRows, n_rows: int, rows_of: Mapping[str, int]) -> Failure:
    rule = result.rule
    return Failure(
        name,
        rule.name,
        rule.says,
        result.measured,
        affected.count,
        n_rows,
        affected.examples(name),
        affected.files(rows_of),
        file=affected.worst_file(rows_of),
    )
