"""Runs a suite of rules over a table with Great Expectations, and says which rows break which rule."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import great_expectations as gx
import numpy as np
import numpy.typing as npt
import polars as pl
from great_expectations.core import ExpectationSuite, ExpectationSuiteValidationResult, ExpectationValidationResult
from great_expectations.datasource.fluent.interfaces import Batch

from contracts.errors import ValidationFailed
from sources.suites import Level, Rule


@dataclass(frozen=True)
class Finding:
    """How one rule fared. rows: the positions that break it; empty for a table-level rule.

    observed: what a table-level rule measured, where it measures something.
    """

    rule: Rule
    passed: bool
    rows: npt.NDArray[np.int64]
    observed: Any = None


@dataclass(frozen=True)
class SuiteRun:
    """All findings of one suite over one table, in the order of the rules; evidence: the library's own."""

    name: str
    n_rows: int
    findings: tuple[Finding, ...]
    evidence: ExpectationSuiteValidationResult = field(repr=False)


def run_suite(name: str, table: pl.DataFrame, rules: Sequence[Rule]) -> SuiteRun:
    """Check every rule; breaking one raises nothing here.

    Raises ValidationFailed when a rule could not be checked at all: an unchecked rule is no kept rule.
    """
    suite = ExpectationSuite(name=name, expectations=[rule.expectation for rule in rules])
    evidence = _batch(name, table).validate(
        suite,
        # Complete, or rows are missing from the answer: by default it stops at twenty.
        result_format={"result_format": "COMPLETE", "return_unexpected_index_query": False},
    )
    for result in evidence.results:
        _make_plain(result)
    by_rule = {result.expectation_config.meta["rule"]: result for result in evidence.results}
    findings = tuple(_finding(name, rule, by_rule[rule.name]) for rule in rules)
    return SuiteRun(name, len(table), findings, evidence)


def _batch(name: str, table: pl.DataFrame) -> Batch:
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(enable=False)
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("slatework").add_dataframe_asset(name)
    # Lists cannot be hashed, which pandas needs; no rule is about them.
    plain = table.select(pl.exclude(pl.List(pl.String))).to_pandas()
    return asset.add_batch_definition_whole_dataframe(name).get_batch({"dataframe": plain})


def _finding(suite: str, rule: Rule, result: ExpectationValidationResult) -> Finding:
    _check_it_ran(suite, rule, result)
    rows: list[int] = []
    if rule.level is Level.ROW:
        # The frame's own index, which counts rows from 0.
        rows = result.result["unexpected_index_list"]
    return Finding(rule, bool(result.success), np.array(rows, dtype=np.int64), _observed(rule, result))


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
