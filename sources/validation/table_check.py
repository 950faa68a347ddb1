"""One table against its suites: good rows, bad rows with the reasons, and what stops the run.

Rows go from file to file in batches: no table is in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from contracts.drift import ColumnDrift
from contracts.tables import SCHEMAS, SORT_KEYS
from sources.canonical.origins import NO_ORIGINS, ORIGIN, ORIGIN_SCHEMA, Origins
from sources.canonical.row_batches import BATCH_ROWS, POSITION, batches, row_file
from sources.canonical.row_text import as_line
from sources.validation.suite_engine import IN_PROCESS, SuiteEngine
from sources.validation.suite_run import Finding, SuiteRun, merged, run_suite
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
ASIDE = pl.Schema({**ORIGIN_SCHEMA, DETAIL: pl.String(), REASON: pl.String()})
UNREADABLE = "readable"  # the reason of a row that never became one of the table: the rule it breaks
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
class Parts:
    """Where the rows of the tables go: the folders of the good ones and of the bad ones."""

    valid: Path
    quarantine: Path

    def good(self, name: str) -> Path:
        return self.valid / f"{name}.parquet"

    def bad(self, name: str) -> Path:
        return self.quarantine / f"{name}.parquet"


@dataclass(frozen=True)
class TableCheck:
    """What came of one table; its rows are n_valid good ones and n_quarantined bad ones, in the files of Parts.

    n_unreadable: those of the bad ones that never became a row.
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
        """The same with one more suite's findings."""
        return replace(self, runs=(*self.runs, run), failures=(*self.failures, *failures))


@dataclass(frozen=True)
class RowCheck:
    """How the rows of a table are checked. marks: columns the rules look at besides the table's own.

    measured: for a table-level rule, by the column it looks at, the frame it is checked on.
    origins: tells where the rows of the table were read; refused: rows that could not be, as sources.refusals.
    """

    rules: Sequence[Rule]
    marks: Mapping[str, pl.Expr] = field(default_factory=dict)
    measured: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    origins: Origins = NO_ORIGINS
    refused: pl.DataFrame | None = None
    engine: SuiteEngine = IN_PROCESS
    batch_rows: int = BATCH_ROWS


def check_layout(name: str, table: pl.LazyFrame) -> TableCheck:
    """Columns and types alone. Nothing is valid where they differ, for no other rule can be read then."""
    schema = table.collect_schema()
    layout = pl.DataFrame({column: [str(dtype)] for column, dtype in schema.items()})
    run = run_suite(f"{name}: columns and types", layout, layout_rules(SCHEMAS[name], schema.names()))
    broken = _broken_table_rules(run)
    if not broken:
        return TableCheck(0, runs=(run,))
    n_rows = table.select(pl.len()).collect().item()
    rows = _Suspects(n_rows, table.head(N_EXAMPLES).collect())
    return TableCheck(0, runs=(run,), failures=tuple(_failure(name, one, rows, n_rows) for one in broken))


def check_rows(name: str, table: pl.LazyFrame, check: RowCheck, parts: Parts) -> TableCheck:
    """Part the rows of a table, sorted by its keys, by the row-level rules, into the files of `parts`."""
    row_rules = [rule for rule in check.rules if rule.level is Level.ROW]
    runs, suspects = [], {rule.suspects: _Suspects() for rule in check.rules if rule.suspects}
    repeated: list[pl.Series] = []
    with (
        row_file(parts.good(name), SCHEMAS[name]) as good,
        row_file(parts.bad(name), pl.Schema({**SCHEMAS[name], **ASIDE})) as bad,
    ):
        for rows in batches(name, table, check.batch_rows):
            marked = rows.with_columns(_is_repeated(name)).with_columns(**check.marks)
            run = run_suite(name, marked, row_rules, check.engine)
            runs.append(replace(run, broken={}))
            reasons = _reasons(run)
            good.add(rows.filter(reasons.is_null()).drop(POSITION))
            broken = rows.with_columns(reasons).filter(reasons.is_not_null())
            bad.add(_with_origin(name, broken, check.origins))
            repeated.append(marked[REPEATED])
            for column, found in suspects.items():
                found.add(marked.filter(pl.col(column)), name, check.origins)
        n_unreadable = 0 if check.refused is None else len(check.refused)
        if check.refused is not None:
            bad.add(_refused_rows(name, check.refused))
    parted = TableCheck(good.n_rows, bad.n_rows, n_unreadable=n_unreadable)
    if not runs:
        return parted
    measured = {REPEATED: pl.DataFrame({REPEATED: pl.concat(repeated).cast(pl.Int32)}), **check.measured}
    runs += [
        run_suite(name, measured[rule.columns[0]], [rule], check.engine)
        for rule in check.rules
        if rule.level is Level.TABLE
    ]
    run = merged(name, runs, check.rules)
    n_rows = parted.n_rows - n_unreadable
    failures = [_failure(name, one, suspects[one.rule.suspects or ""], n_rows) for one in _broken_table_rules(run)]
    return parted.with_run(run, failures)


def check_outcome(
    name: str, parted: TableCheck, rules: Sequence[Rule], parts: Parts, engine: SuiteEngine = IN_PROCESS
) -> TableCheck:
    """The same table with the rules about its volume and its quarantine checked as well."""
    if not rules:
        return parted
    n_bad = parted.n_quarantined
    is_bad = pl.int_range(parted.n_rows, eager=True) < n_bad
    measured = pl.DataFrame(
        {
            QUARANTINED: is_bad.cast(pl.Int32),
            KEPT: (~is_bad).cast(pl.Int32),
            READABLE: pl.int_range(parted.n_rows, eager=True) >= parted.n_unreadable,
        }
    )
    run = run_suite(f"{name}: outcome", measured, rules, engine)
    aside = pl.read_parquet(parts.bad(name), n_rows=N_EXAMPLES)
    kept = pl.read_parquet(parts.good(name), n_rows=N_EXAMPLES)
    suspects = {
        QUARANTINED: _Suspects(n_bad, aside),
        None: _Suspects(parted.n_rows, pl.concat([aside, kept], how="diagonal").head(N_EXAMPLES)),
    }
    failures = [_failure(name, one, suspects[one.rule.suspects], parted.n_rows) for one in _broken_table_rules(run)]
    return parted.with_run(run, failures)


def check_drift(name: str, parted: TableCheck, drifts: Sequence[ColumnDrift], rules: Sequence[Rule]) -> TableCheck:
    """The same table with its columns held against the baseline's; drifts: those of the columns that can be judged."""
    if not rules:
        return parted
    measured = {rule.columns[0]: [_measure(rule, drifts)] for rule in rules}
    run = run_suite(f"{name}: against the baseline", pl.DataFrame(measured), rules)
    moved = {drift.column: drift for drift in drifts}
    failures = [
        Failure(
            name,
            finding.rule.name,
            finding.rule.says,
            finding.measured,
            parted.n_rows,
            parted.n_rows,
            tuple(_bins(moved[_drifted(finding.rule)])),
        )
        for finding in _broken_table_rules(run)
    ]
    return parted.with_run(run, failures)


def _measure(rule: Rule, drifts: Sequence[ColumnDrift]) -> float:
    drift = next(one for one in drifts if one.column == _drifted(rule))
    return drift.category_share if rule.columns[0].endswith(CATEGORY_SHARE) else drift.psi or 0.0


def _drifted(rule: Rule) -> str:
    return rule.columns[0].removesuffix(CATEGORY_SHARE).removesuffix(PSI)


def _bins(drift: ColumnDrift) -> Iterator[str]:
    for one in drift.most_moved[:N_EXAMPLES]:
        yield f"{one.label}: {one.then:.1%} of the baseline's rows, {one.now:.1%} now"
    if drift.reason:
        yield drift.reason


class _Suspects:
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
        told = head.hstack(origins.of(name, head[POSITION]))
        self.first = told if self.first is None else pl.concat([self.first, told])


def _is_repeated(name: str) -> pl.Expr:
    same = (pl.col(key).eq_missing(pl.col(key).shift(1)) for key in SORT_KEYS[name])
    return ((pl.int_range(pl.len()) > 0) & pl.all_horizontal(same)).alias(REPEATED)


def _refused_rows(name: str, refused: pl.DataFrame) -> pl.DataFrame:
    column = pl.concat_str(pl.lit("column "), "column", pl.lit(": "))
    found = pl.concat_str(pl.lit("found "), pl.col("found").fill_null("nothing"), pl.lit("; "), "reason")
    return refused.select(
        *(pl.lit(None, kind).alias(one) for one, kind in SCHEMAS[name].items()),
        *ORIGIN,
        pl.concat_str(column.fill_null(""), found).alias(DETAIL),
        pl.lit(UNREADABLE).alias(REASON),
    )


def _with_origin(name: str, rows: pl.DataFrame, origins: Origins) -> pl.DataFrame:
    """Rows with their position and reason, as rows of the quarantine."""
    known = rows.drop(POSITION).hstack(origins.of(name, rows[POSITION]))
    return known.with_columns(pl.lit(None, pl.String).alias(DETAIL)).select([*SCHEMAS[name], *ASIDE])


def _reasons(run: SuiteRun) -> pl.Series:
    """For each row the names of the row-level rules it breaks, in the suite's order; null where it breaks none."""
    broken = [pl.DataFrame({"row": rows, REASON: rule}) for rule, rows in run.broken.items() if len(rows)]
    if not broken:
        return pl.repeat(None, run.n_rows, dtype=pl.String, eager=True).alias(REASON)
    every_row = pl.DataFrame({"row": pl.int_range(run.n_rows, eager=True)})
    reasons = pl.concat(broken).group_by("row", maintain_order=True).agg(pl.col(REASON).str.join(", "))
    return every_row.join(reasons, on="row", how="left", maintain_order="left")[REASON]


def _broken_table_rules(run: SuiteRun) -> list[Finding]:
    return [finding for finding in run.findings if finding.rule.level is Level.TABLE and not finding.passed]


def _failure(name: str, finding: Finding, suspects: _Suspects, n_rows: int) -> Failure:
    rule = finding.rule
    first = pl.DataFrame() if suspects.first is None else suspects.first
    shown = first.select(column for column in first.columns if column in SCHEMAS[name] or column in ASIDE)
    examples = tuple(as_line(row) for row in shown.iter_rows(named=True))
    return Failure(name, rule.name, rule.says, finding.measured, suspects.count, n_rows, examples)
