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
class Finding:
    """How one rule fared. n_broken: rows that break it, of n_rows; 0 for a table-level rule.

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
        return "" if self.observed in (None, []) else str(self.observed)


@dataclass(frozen=True)
class SuiteRun:
    """All findings of one suite over one table, in the order of the rules; evidence: the library's own.

    broken: for each row-level rule the positions of the rows that break it, where the run was over a single frame.
    """

    name: str
    n_rows: int
    findings: tuple[Finding, ...]
    evidence: ExpectationSuiteValidationResult = field(repr=False)
    broken: Mapping[str, npt.NDArray[np.int64]] = field(default_factory=dict, repr=False)


def run_suite(name: str, table: pl.DataFrame, rules: Sequence[Rule], engine: SuiteEngine = IN_PROCESS) -> SuiteRun:
    """Check every rule; breaking one raises nothing here.

    Raises ValidationFailed when a rule could not be checked at all: an unchecked rule is no kept rule.
    """
    suite = ExpectationSuite(name=name, expectations=[rule.expectation for rule in rules])
    evidence = engine.validate(name, _looked_at(table, rules), suite)
    for result in evidence.results:
        _make_plain(result)
    by_rule = _by_rule(evidence)
    broken = {rule.name: _broken(name, rule, by_rule[rule.name]) for rule in rules}
    findings = tuple(_finding(rule, by_rule[rule.name], len(broken[rule.name]), len(table)) for rule in rules)
    return SuiteRun(name, len(table), findings, evidence, broken)


def merged(name: str, runs: Iterable[SuiteRun], rules: Sequence[Rule]) -> SuiteRun:
    """One run of many over parts of a table, of at least one: of each row-level rule the sums."""
    total = reduce(_sum, runs)
    order = {rule.name: position for position, rule in enumerate(rules)}
    findings = tuple(sorted(total.findings, key=lambda finding: order[finding.rule.name]))
    total.evidence.results.sort(key=lambda result: order[_rule_name(result)])
    return SuiteRun(name, max(finding.n_rows for finding in findings), findings, total.evidence)


def _sum(one: SuiteRun, other: SuiteRun) -> SuiteRun:
    findings = {finding.rule.name: finding for finding in one.findings}
    evidence = _by_rule(one.evidence)
    theirs = _by_rule(other.evidence)
    for finding in other.findings:
        name = finding.rule.name
        if name in findings:
            findings[name] = _sum_of_findings(findings[name], finding)
            _add_evidence(evidence[name], theirs[name])
        else:
            findings[name], evidence[name] = finding, theirs[name]
    account = ExpectationSuiteValidationResult(
        success=all(finding.passed for finding in findings.values()),
        results=list(evidence.values()),
        suite_name=one.name,
        meta=one.evidence.meta,
    )
    return SuiteRun(one.name, one.n_rows + other.n_rows, tuple(findings.values()), account)


def _by_rule(evidence: ExpectationSuiteValidationResult) -> dict[str, ExpectationValidationResult]:
    # The library answers in an order of its own.
    return {_rule_name(result): result for result in evidence.results}


def _rule_name(result: ExpectationValidationResult) -> str:
    # The library knows results without one, but gives none for a suite.
    configuration = cast("ExpectationConfiguration", result.expectation_config)
    return str(configuration.meta["rule"])


def _sum_of_findings(one: Finding, other: Finding) -> Finding:
    return Finding(
        one.rule,
        one.passed and other.passed,
        one.n_broken + other.n_broken,
        one.n_rows + other.n_rows,
        one.observed,
    )


def _add_evidence(total: ExpectationValidationResult, more: ExpectationValidationResult) -> None:
    """Counts add up, shares follow from them, and of the cells that broke the rule twenty are kept."""
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


def _looked_at(table: pl.DataFrame, rules: Sequence[Rule]) -> pl.DataFrame:
    """The columns that a rule is about. NaN is no value: the engines differ in what they take it for."""
    columns = {column for rule in rules for column in rule.columns}
    if any(not rule.columns for rule in rules):
        return table.select(pl.exclude(pl.List(pl.String))).fill_nan(None)
    told = {column for rule in rules if not rule.is_about_presence for column in rule.columns}
    # Where a column is only asked whether it is given, ids of millions need not be moved, nor hashed by the library.
    there = [pl.when(pl.col(one).is_not_null()).then(1.0).alias(one) for one in sorted(columns - told)]
    return table.select(*(one for one in table.columns if one in told), *there).fill_nan(None)


def _broken(suite: str, rule: Rule, result: ExpectationValidationResult) -> npt.NDArray[np.int64]:
    """The rows that break the rule, and out of the library's account with them: they may be a million."""
    _check_it_ran(suite, rule, result)
    rows: list[Any] = result.result.pop("unexpected_index_list", None) or []
    for listed in ("unexpected_list", "partial_unexpected_index_list", "partial_unexpected_counts"):
        result.result.pop(listed, None)
    if rule.level is Level.TABLE:
        return np.array([], dtype=np.int64)
    return np.sort(np.array([row[ROW] if isinstance(row, dict) else row for row in rows], dtype=np.int64))


def _finding(rule: Rule, result: ExpectationValidationResult, n_broken: int, n_rows: int) -> Finding:
    return Finding(rule, bool(result.success), n_broken, n_rows, _observed(rule, result))


def _make_plain(result: ExpectationValidationResult) -> None:
    """The measure as a plain number: the library's own docs choke on the numpy one it gives."""
    observed = result.result.get("observed_value")
    if isinstance(observed, np.generic):
        result.result["observed_value"] = observed.item()


def _observed(rule: Rule, result: ExpectationValidationResult) -> Any:
    if rule.level is Level.ROW:
        return None
    # Of a measure the library tells the measure, of single cells those it did not expect.
    return result.result.get("observed_value", result.result.get("partial_unexpected_list"))


def _check_it_ran(suite: str, rule: Rule, result: ExpectationValidationResult) -> None:
    trouble = result.exception_info or {}
    # One exception, or several by metric.
    each = [trouble] if "raised_exception" in trouble else list(trouble.values())
    messages = [str(one["exception_message"]) for one in each if one["raised_exception"]]
    if messages:
        raise ValidationFailed(
            f"Rule `{rule.name}` of {suite} could not be checked: {messages[0]}",
            "Look at the tables in data/raw/; `dvc repro --force ingest` writes them again.",
        )
