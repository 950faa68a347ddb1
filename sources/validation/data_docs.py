"""Great Expectations' data docs as one page that needs nothing else: no script, style or picture from outside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from great_expectations.core import ExpectationSuiteValidationResult
from great_expectations.render.renderer import ValidationResultsPageRenderer
from great_expectations.render.view import DefaultJinjaSectionView

from contracts.counted import counted
from contracts.drift import Bin, ColumnDrift, Verdict
from contracts.web_page import render_page
from contracts.whole_files import write_whole
from sources.validation.suite_run import RuleResult, SuiteRun
from sources.validation.suites import Level
from sources.validation.validation import Validation

WEIGHT = {Verdict.BROKEN: 3, Verdict.MOVED: 2, Verdict.STEADY: 1}
# Parts of the library's documents that it makes markup of: sentences with their parameters, classes and attributes.
WITH_MARKUP = frozenset({"string_template", "styling"})
BAR_WIDTH, BAR_HEIGHT, MAX_BINS = 7, 28, 26


def write_docs(validation: Validation, folder: Path) -> None:
    """Write `index.html`: is it good, what moved, and each suite as a table of its rules.

    The library's own account of a suite is folded below it.
    """
    page = render_page(
        __package__,
        "data_docs.html",
        title="Validation",
        validation=validation,
        n_quarantined=_rows_in_quarantine(validation),
        drifts=[(drift, DriftChart.of(drift)) for drift in _most_moved_first(validation)],
        suites=[SuiteSection.of(run) for run in validation.runs],
    )
    write_whole(folder / "index.html", page.encode())


def _rows_in_quarantine(validation: Validation) -> str:
    """How many of all tables, in words; empty where there is none."""
    n_rows = sum(check.n_quarantined for check in validation.tables.values())
    return counted(n_rows, "row") if n_rows else ""


@dataclass(frozen=True)
class RuleRow:
    """One rule on the page. n_broken: rows that break it, None where it is about the whole table.

    verdict: `passed`; `set aside` where rows that break it are in quarantine, which refuses nothing; `broken` where the
    table breaks it, which refuses the data.
    """

    verdict: str
    name: str
    says: str
    n_broken: int | None
    measured: str

    @classmethod
    def of(cls, result: RuleResult) -> RuleRow:
        """A rule's line."""
        n_broken = result.n_broken if result.rule.level is Level.ROW else None
        verdict = "passed" if result.passed else "set aside" if result.rule.level is Level.ROW else "broken"
        return cls(verdict, result.rule.name, result.rule.says, n_broken, result.measured)


@dataclass(frozen=True)
class SuiteSection:
    """One suite on the page. n_rows: None where it looks at no rows, but at what was measured of a whole table.

    evidence: the library's own account, as HTML.
    """

    name: str
    n_rows: int | None
    rules: tuple[RuleRow, ...]
    evidence: str

    @classmethod
    def of(cls, run: SuiteRun) -> SuiteSection:
        """A suite's table, and what is folded below it."""
        rules = tuple(RuleRow.of(result) for result in run.results)
        looks_at_rows = any(rule.n_broken is not None for rule in rules)
        return cls(run.name, run.n_rows if looks_at_rows else None, rules, _evidence_html(run.evidence))


@dataclass(frozen=True)
class Bar:
    """A bar of a chart, in pixels from its upper left corner. side: `then` or `now`."""

    side: str
    x: int
    y: float
    height: float


@dataclass(frozen=True)
class DriftChart:
    """A pair of bars for each bin of a column, the tallest as high as the chart. pairs: each with its label."""

    width: int
    pairs: tuple[tuple[str, tuple[Bar, Bar]], ...]
    height: int = BAR_HEIGHT
    bar_width: int = BAR_WIDTH - 2

    @classmethod
    def of(cls, drift: ColumnDrift) -> DriftChart | None:
        """None where there is nothing to draw."""
        bins = drift.bins[:MAX_BINS]
        tallest = max((max(one.then, one.now) for one in bins), default=0.0)
        return cls(len(bins) * 2 * BAR_WIDTH, tuple(_pairs(bins, tallest))) if tallest else None


def _pairs(bins: tuple[Bin, ...], tallest: float) -> Iterator[tuple[str, tuple[Bar, Bar]]]:
    for position, one in enumerate(bins):
        x = position * 2 * BAR_WIDTH
        bars = _bar("then", x, one.then / tallest), _bar("now", x + BAR_WIDTH - 2, one.now / tallest)
        yield f"{one.label}: {one.then:.1%} then, {one.now:.1%} now", bars


def _bar(side: str, x: int, share: float) -> Bar:
    height = BAR_HEIGHT * share
    return Bar(side, x, BAR_HEIGHT - height, height)


def _most_moved_first(validation: Validation) -> list[ColumnDrift]:
    """What moved is read first; a column that cannot be judged, last."""
    return sorted(validation.drifts, key=lambda drift: (-WEIGHT.get(drift.verdict, 0), -(drift.psi or 0.0)))


def _evidence_html(evidence: ExpectationSuiteValidationResult) -> str:
    """The sections of the library's own page; that page loads Bootstrap and a logo from the network."""
    document = ValidationResultsPageRenderer().render(evidence).to_json_dict()
    # The first section is an overview that links to pages of a site that is not here.
    return "\n".join(
        _section_view().render({"section": _escaped(section), "section_loop": {"index": index}})
        for index, section in enumerate(document["sections"][1:], start=1)
    )


@cache
def _section_view() -> Any:  # its methods carry no types
    """One for all sections: each new one compiles its templates anew."""
    return DefaultJinjaSectionView()


def _escaped(content: Any) -> Any:
    """The same content with its bare texts escaped: the library escapes the parameters of its sentences, and no more.

    The cells of its table of broken values are such texts.
    """
    match content:
        case str():
            return escape(content)
        case list():
            return [_escaped(part) for part in content]
        case dict():
            return {key: part if key in WITH_MARKUP else _escaped(part) for key, part in content.items()}
    return content
