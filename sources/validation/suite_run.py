"""Runs a suite of rules over a table with Great Expectations, and says which rows break which rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import polars as pl
from great_expectations.core import ExpectationSuite, ExpectationSuiteValidationResult, ExpectationValidationResult
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

from contracts.errors import ValidationFailed
from sources.validation.suite_engine import IN_PROCESS, ROW, SuiteEngine
from sources.validation.suites import Level, Rule

N_CELLS = 20  # of those that broke a rule, as the library itself shows


@dataclass(frozen=True)
class RuleResult:
    """What came of one rule. n_broken: rows that break it, of n_rows; 0 for a table-level rule.

    observed: what a table-level rule measured, where it measures something.
    """

    rule: Rule
    passed: bool
    n_broken: int
    n_rows: int
    observed: Any = None

    @property
    def measured(self) -> str:
        """What was measured, as people read it; empty where there is nothing to tell."""
        if isinstance(self.observed, float):
            return f"{self.observed:.4g}" if abs(self.observed) < 10_000 else f"{self.observed:,.0f}"
        if isinstance(self.observed, list | tuple):
            return ", ".join(map(str, self.observed))
        if isinstance(self.observed, int) and not isinstance(self.observed, bool):
            return f"{self.observed:,}"
        return "" if self.observed is None else str(self.observed)


@dataclass(frozen=True)
class SuiteRun:
    """All results of one suite over one table, in the order of the rules; evidence: the library's own.

    broken: for each row-level rule the positions of the rows that break it, where the run was over a single frame.
    """

    name: str
    n_rows: int
    results: tuple[RuleResult, ...]
    evidence: ExpectationSuiteValidationResult = field(repr=False)
    broken: Mapping[str, npt.NDArray[np.int64]] = field(default_factory=dict, repr=False)


def run_suite(name: str, table: pl.DataFrame, rules: Sequence[Rule], engine: SuiteEngine = IN_PROCESS) -> SuiteRun:
    """Check every rule; a broken rule raises nothing here.

    Raises ValidationFailed when a rule could not be checked at all.
    """
    suite = ExpectationSuite(name=name, expectations=[rule.expectation for rule in rules])
    name_rows = any(rule.level is Level.ROW for rule in rules)
    evidence = engine.validate(name, _checked_columns(table, rules), suite, name_rows=name_rows)
    for result in evidence.results:
        _make_plain(result)
    by_rule = _by_rule(evidence)
    broken = {rule.name: _pop_broken_rows(name, rule, by_rule[rule.name]) for rule in rules}
    results = tuple(_rule_result(rule, by_rule[rule.name], len(broken[rule.name]), len(table)) for rule in rules)
    return SuiteRun(name, len(table), results, evidence, broken)


def merged(name: str, runs: Iterable[SuiteRun], rules: Sequence[Rule]) -> SuiteRun:
    """The runs over the batches of a table (at least one) as one, with the counts of each row-level rule added up."""
    total = reduce(_sum, runs)
    order = {rule.name: position for position, rule in enumerate(rules)}
    results = tuple(sorted(total.results, key=lambda result: order[result.rule.name]))
    total.evidence.results.sort(key=lambda result: order[_rule_name(result)])
    return SuiteRun(name, max(result.n_rows for result in results), results, total.evidence)


def _sum(one: SuiteRun, other: SuiteRun) -> SuiteRun:
    results = {result.rule.name: result for result in one.results}
    evidence = _by_rule(one.evidence)
    theirs = _by_rule(other.evidence)
    for result in other.results:
        name = result.rule.name
        if name in results:
            results[name] = _sum_of_results(results[name], result)
            _add_evidence(evidence[name], theirs[name])
        else:
            results[name], evidence[name] = result, theirs[name]
    evidence_of_both = ExpectationSuiteValidationResult(
        success=all(result.passed for result in results.values()),
        results=list(evidence.values()),
        suite_name=one.name,
        meta=one.evidence.meta,
    )
    return SuiteRun(one.name, one.n_rows + other.n_rows, tuple(results.values()), evidence_of_both)


def _by_rule(evidence: ExpectationSuiteValidationResult) -> dict[str, ExpectationValidationResult]:
    # The library answers in an order of its own.
    return {_rule_name(result): result for result in evidence.results}


def _rule_name(result: ExpectationValidationResult) -> str:
    # The library knows results without one, but gives none for a suite.
    configuration = cast("ExpectationConfiguration", result.expectation_config)
    return str(configuration.meta["rule"])


def _sum_of_results(one: RuleResult, other: RuleResult) -> RuleResult:
    return RuleResult(
        one.rule,
        one.passed and other.passed,
        one.n_broken + other.n_broken,
        one.n_rows + other.n_rows,
        one.observed,
    )


def _add_evidence(total: ExpectationValidationResult, more: ExpectationValidationResult) -> None:
    """Add the counts, compute the shares from them, and keep twenty of the cells that broke the rule."""
    ours, theirs = total.result, more.result
    total.success = bool(total.success and more.success)
    for count in ("element_count", "unexpected_count", "missing_count"):
        if count in ours:
            ours[count] += theirs[count]
    n_rows, n_broken, n_missing = ours["element_count"], ours["unexpected_count"], ours.get("missing_count", 0)
    shares = {
        "unexpected_percent": (n_broken, n_rows - n_missing),
        "unexpected_percent_total": (n_broken, n_rows),
        "unexpected_percent_nonmissing": (n_broken, n_rows - n_missing),
        "missing_percent": (n_missing, n_rows),
    }
    ours.update({name: 100 * part / whole if whole else 0.0 for name, (part, whole) in shares.items() if name in ours})
    cells = [*ours.get("partial_unexpected_list", []), *theirs.get("partial_unexpected_list", [])]
    ours["partial_unexpected_list"] = cells[:N_CELLS]


def _checked_columns(table: pl.DataFrame, rules: Sequence[Rule]) -> pl.DataFrame:
    """The columns that a rule looks at. NaN becomes null, because the engines treat it differently."""
    columns = {column for rule in rules for column in rule.columns}
    if any(not rule.columns for rule in rules):
        return table.select(pl.exclude(pl.List(pl.String))).fill_nan(None)
    by_value = {column for rule in rules if not rule.is_about_presence for column in rule.columns}
    # A column that is checked for presence alone becomes 1 or null: millions of ids need not be moved or hashed.
    by_presence = [pl.when(pl.col(one).is_not_null()).then(1.0).alias(one) for one in sorted(columns - by_value)]
    return table.select(*(one for one in table.columns if one in by_value), *by_presence).fill_nan(None)


def _pop_broken_rows(suite: str, rule: Rule, result: ExpectationValidationResult) -> npt.NDArray[np.int64]:
    """The rows that break the rule, taken out of the library's own result: they may be a million."""
    _check_it_ran(suite, rule, result)
    rows: list[Any] = result.result.pop("unexpected_index_list", None) or []
    for listed in ("unexpected_list", "partial_unexpected_index_list", "partial_unexpected_counts"):
        result.result.pop(listed, None)
    if rule.level is Level.TABLE:
        return np.array([], dtype=np.int64)
    return np.sort(np.array([row[ROW] if isinstance(row, dict) else row for row in rows], dtype=np.int64))


def _rule_result(rule: Rule, result: ExpectationValidationResult, n_broken: int, n_rows: int) -> RuleResult:
    return RuleResult(rule, bool(result.success), n_broken, n_rows, _observed_value(rule, result))


def _make_plain(result: ExpectationValidationResult) -> None:
    """Make the measure a plain number: the library's own docs fail on the numpy one that it returns."""
    observed = result.result.get("observed_value")
    if isinstance(observed, np.generic):
        result.result["observed_value"] = observed.item()


def _observed_value(rule: Rule, result: ExpectationValidationResult) -> Any:
    if rule.level is Level.ROW:
        return None
    # For a measure the library returns the measure, for single cells those that are unexpected.
    return result.result.get("observed_value", result.result.get("partial_unexpected_list"))


def _check_it_ran(suite: str, rule: Rule, result: ExpectationValidationResult) -> None:
    info = result.exception_info or {}
    # One exception, or several by metric.
    each = [info] if "raised_exception" in info else list(info.values())
    messages = [str(one["exception_message"]) for one in each if one["raised_exception"]]
    if messages:
        raise ValidationFailed(
            f"Rule `{rule.name}` of {suite} could not be checked: {messages[0]}",
            "Look at the tables in data/raw/; `dvc repro --force ingest` writes them again.",
        )
