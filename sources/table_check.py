"""One table against its suites: good rows, bad rows with the reasons, and what stops the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from contracts.tables import SCHEMAS, SORT_KEYS
from sources.origins import NO_ORIGINS, ORIGIN, ORIGIN_SCHEMA, Origins
from sources.row_text import as_line
from sources.suite_run import Finding, SuiteRun, run_suite
from sources.suites import KEPT, QUARANTINED, READABLE, REPEATED, Level, Rule, layout_rules

REASON = "reason"
DETAIL = "detail"
# What a row in quarantine has besides its table's columns: where it was, what could not be read, the rules broken.
ASIDE = pl.Schema({**ORIGIN_SCHEMA, DETAIL: pl.String(), REASON: pl.String()})
UNREADABLE = "readable"  # the reason of a row that never became one of the table: the rule it breaks
N_EXAMPLES = 3
_POSITION = "row position"  # a table may have a column `position` of its own


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
class TableCheck:
    """What came of one table; valid and quarantine together are its rows.

    quarantine: the bad rows, with the columns ASIDE; `reason` names the rules each of them breaks.
    """

    valid: pl.DataFrame
    quarantine: pl.DataFrame
    runs: tuple[SuiteRun, ...]
    failures: tuple[Failure, ...]


def check_layout(name: str, table: pl.DataFrame) -> TableCheck:
    """Columns and types alone. Nothing is valid where they differ, for no other rule can be read then."""
    layout = pl.DataFrame({column: [str(dtype)] for column, dtype in table.schema.items()})
    run = run_suite(f"{name}: columns and types", layout, layout_rules(SCHEMAS[name], table.columns))
    failures = _failures(name, run, table)
    nothing = _no_quarantine(name)
    return TableCheck(nothing.select(SCHEMAS[name].names()) if failures else table, nothing, (run,), failures)


def check_rows(
    name: str,
    table: pl.DataFrame,
    rules: Sequence[Rule],
    marks: Mapping[str, pl.Expr] | None = None,
    origins: Origins = NO_ORIGINS,
) -> TableCheck:
    """Part the rows by the row-level rules. marks: columns the rules look at besides the table's own.

    origins: tells where the rows of the table, in the order they come in, were read.
    """
    if table.is_empty():
        return TableCheck(table, _no_quarantine(name), (), ())
    # In a total order, or which of two repeated rows is the first would depend on the order they came in.
    keys = SORT_KEYS[name]
    rest = [column for column, dtype in SCHEMAS[name].items() if column not in keys and dtype != pl.List(pl.String())]
    placed = table.with_row_index(_POSITION).sort([*keys, *rest, _POSITION])
    marked = placed.with_columns(**{REPEATED: ~pl.struct(keys).is_first_distinct()}, **(marks or {}))
    run = run_suite(name, marked.drop(_POSITION), rules)
    reasons = _reasons(run)
    bad = placed.with_columns(reasons).filter(reasons.is_not_null())
    return TableCheck(
        placed.filter(reasons.is_null()).drop(_POSITION),
        _with_origin(name, bad, origins),
        (run,),
        _failures(name, run, marked, origins),
    )


def with_refused(name: str, check: TableCheck, refused: pl.DataFrame) -> TableCheck:
    """The same check with the rows that could not be read at all in its quarantine; refused: as sources.refusals."""
    if refused.is_empty():
        return check
    column = pl.concat_str(pl.lit("column "), "column", pl.lit(": "))
    found = pl.concat_str(pl.lit("found "), pl.col("found").fill_null("nothing"), pl.lit("; "), "reason")
    rows = refused.select(
        *(pl.lit(None, kind).alias(one) for one, kind in SCHEMAS[name].items()),
        *ORIGIN,
        pl.concat_str(column.fill_null(""), found).alias(DETAIL),
        pl.lit(UNREADABLE).alias(REASON),
    )
    return TableCheck(check.valid, pl.concat([check.quarantine, rows]), check.runs, check.failures)


def _no_quarantine(name: str) -> pl.DataFrame:
    return pl.DataFrame(schema={**SCHEMAS[name], **ASIDE})


def _with_origin(name: str, rows: pl.DataFrame, origins: Origins) -> pl.DataFrame:
    """Rows with their position and reason, as rows of the quarantine."""
    known = rows.drop(_POSITION).hstack(origins.of(name, rows[_POSITION]))
    return known.with_columns(pl.lit(None, pl.String).alias(DETAIL)).select([*SCHEMAS[name], *ASIDE])


def check_outcome(name: str, parted: TableCheck, rules: Sequence[Rule]) -> TableCheck:
    """The same table with the rules about its volume and its quarantine checked as well."""
    if not rules:
        return parted
    rows = pl.concat([parted.quarantine, parted.valid], how="diagonal")
    is_bad = rows[REASON].is_not_null()
    measured = pl.DataFrame(
        {
            QUARANTINED: is_bad.cast(pl.Float64),
            KEPT: (~is_bad).cast(pl.Float64),
            READABLE: rows[REASON].ne_missing(UNREADABLE),
        }
    )
    run = run_suite(f"{name}: outcome", measured, rules)
    failures = _failures(name, run, rows.with_columns(is_bad.alias(QUARANTINED)))
    return TableCheck(parted.valid, parted.quarantine, (*parted.runs, run), (*parted.failures, *failures))


def _reasons(run: SuiteRun) -> pl.Series:
    """For each row the names of the row-level rules it breaks, in the suite's order; null where it breaks none."""
    broken = [
        pl.DataFrame({"row": finding.rows, REASON: finding.rule.name}) for finding in run.findings if len(finding.rows)
    ]
    if not broken:
        return pl.repeat(None, run.n_rows, dtype=pl.String, eager=True).alias(REASON)
    every_row = pl.DataFrame({"row": pl.int_range(run.n_rows, eager=True)})
    reasons = pl.concat(broken).group_by("row", maintain_order=True).agg(pl.col(REASON).str.join(", "))
    return every_row.join(reasons, on="row", how="left", maintain_order="left")[REASON]


def _failures(name: str, run: SuiteRun, rows: pl.DataFrame, origins: Origins = NO_ORIGINS) -> tuple[Failure, ...]:
    return tuple(
        _failure(name, finding, rows, origins)
        for finding in run.findings
        if finding.rule.level is Level.TABLE and not finding.passed
    )


def _failure(name: str, finding: Finding, rows: pl.DataFrame, origins: Origins) -> Failure:
    rule = finding.rule
    concerned = rows.filter(pl.col(rule.suspects).cast(pl.Boolean)) if rule.suspects else rows
    shown = concerned.head(N_EXAMPLES)
    if _POSITION in shown.columns:
        shown = shown.hstack(origins.of(name, shown[_POSITION]))
    examples = tuple(as_line(row) for row in shown.select(_shown(name, shown)).iter_rows(named=True))
    return Failure(name, rule.name, rule.says, str(finding.observed), len(concerned), len(rows), examples)


def _shown(name: str, rows: pl.DataFrame) -> list[str]:
    return [column for column in rows.columns if column in SCHEMAS[name] or column in ASIDE]
