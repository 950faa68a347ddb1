"""Great Expectations' data docs as one page that needs nothing else: no script, style or picture from outside."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from great_expectations.core import ExpectationSuiteValidationResult
from great_expectations.render.renderer import ValidationResultsPageRenderer
from great_expectations.render.view import DefaultJinjaSectionView

from contracts.drift import ColumnDrift, Verdict
from sources.validation.suite_run import Finding, SuiteRun
from sources.validation.suites import Level
from sources.validation.validation import Validation

# The library's own page loads Bootstrap and a logo from the network; its sections are kept and the frame is ours.
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1d2733; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid #dde3ea; vertical-align: top; }
th { background: #f3f6f9; }
.count { text-align: right; font-variant-numeric: tabular-nums; } table.volumes { width: auto; min-width: 60%; }
.passed { color: #14733b; } .broken { color: #b3261e; font-weight: 600; }
i.text-success::before { content: "kept"; color: #14733b; } i.text-danger::before { content: "broken"; color: #b3261e; }
.lead { font-size: 1.15rem; padding: .8rem 1rem; border-radius: .5rem; background: #f3f6f9; }
svg { display: block; } .then { fill: #b9c4d0; } .now { fill: #2f6fb0; } .key { color: #45566b; font-size: .9rem; }
details { margin: 0 0 2rem; } summary { cursor: pointer; color: #45566b; }
"""
HEAD = (
    "<tr><th>Verdict</th><th>Rule</th><th>What must hold</th>"
    '<th class="count">Rows that break it</th><th>Measured</th></tr>'
)


WEIGHT = {Verdict.BROKEN: 3, Verdict.MOVED: 2, Verdict.STEADY: 1}
BAR_WIDTH, BAR_HEIGHT, MAX_BARS = 7, 28, 26
DRIFT_HEAD = '<tr><th>Column</th><th>Verdict</th><th class="count">Index</th><th>Then and now</th><th>Why</th></tr>'


def write_docs(validation: Validation, folder: Path) -> None:
    """Write `index.html`: is it good, what moved, and each suite as a table of its rules.

    The library's own account of a suite is folded below it.
    """
    suites = "\n".join(_suite(run) for run in validation.runs)
    body = f"{_summary(validation)}\n{_drift(validation)}\n{suites}"
    page = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Validation</title><style>{STYLE}</style>'
        f"</head><body><h1>Validation</h1>\n{body}\n</body></html>\n"
    )
    (folder / "index.html").write_text(page, encoding="utf-8")


def _summary(validation: Validation) -> str:
    """Is it good? In a sentence; then the volumes."""
    failed = ", ".join(f"{one.table}: {one.rule}" for one in validation.failures)
    verdict, word = ("broken", f"No, it was refused: {failed}.") if failed else ("passed", "Yes, the data is good.")
    warnings = "".join(f"<li>{escape(one)}</li>" for one in validation.warnings)
    rows = "\n".join(
        f'<tr><td>{name}</td><td class="count">{check.n_rows:,}</td><td class="count">{check.n_valid:,}</td>'
        f'<td class="count">{check.n_quarantined:,}</td><td class="count">{_then(validation, name)}</td></tr>'
        for name, check in validation.tables.items()
    )
    columns = ("Rows", "Good", "In quarantine", "Rows of the baseline")
    head = "<tr><th>Table</th>" + "".join(f'<th class="count">{column}</th>' for column in columns) + "</tr>"
    lead = f'<p class="lead {verdict}">Is it good? {escape(word)}</p>'
    return f"{lead}{f'<ul>{warnings}</ul>' if warnings else ''}<table class='volumes'>{head}\n{rows}</table>"


def _then(validation: Validation, name: str) -> str:
    known = validation.baseline.rows.get(name)
    return "" if known is None else f"{known:,}"


def _drift(validation: Validation) -> str:
    if not validation.drifts:
        return (
            "<h2>What has moved</h2><p>No columns to compare with: <code>slate baseline accept</code> makes them.</p>"
        )
    # What moved is read first; a column that cannot be judged, last.
    ordered = sorted(validation.drifts, key=lambda drift: (-WEIGHT.get(drift.verdict, 0), -(drift.psi or 0.0)))
    rows = "\n".join(_column(drift) for drift in ordered)
    key = '<p class="key">Grey: the baseline. Blue: now. How far is too far stands in params.yaml, validate.drift.</p>'
    return f"<h2>What has moved</h2>{key}<table>{DRIFT_HEAD}\n{rows}</table>"


def _column(drift: ColumnDrift) -> str:
    verdict = {Verdict.BROKEN: "broken", Verdict.STEADY: "passed"}.get(drift.verdict, "")
    psi = "" if drift.psi is None else f"{drift.psi:.3f}"
    return (
        f'<tr><td>{escape(f"{drift.table}.{drift.column}")}</td><td class="{verdict}">{drift.verdict}</td>'
        f'<td class="count">{psi}</td><td>{_bars(drift)}</td><td>{escape(drift.reason)}</td></tr>'
    )


def _bars(drift: ColumnDrift) -> str:
    """A pair of bars for each bin, the tallest as high as the row."""
    bins = drift.bins[:MAX_BARS]
    tallest = max((max(one.then, one.now) for one in bins), default=0.0)
    if not tallest:
        return ""
    bars = []
    for position, one in enumerate(bins):
        label = escape(f"{one.label}: {one.then:.1%} then, {one.now:.1%} now")
        pair = "".join(
            f'<rect class="{side}" x="{position * 2 * BAR_WIDTH + offset}" y="{BAR_HEIGHT - height:.1f}" '
            f'width="{BAR_WIDTH - 2}" height="{height:.1f}"/>'
            for side, offset, height in (
                ("then", 0, BAR_HEIGHT * one.then / tallest),
                ("now", BAR_WIDTH - 2, BAR_HEIGHT * one.now / tallest),
            )
        )
        bars.append(f"<g><title>{label}</title>{pair}</g>")
    return f'<svg width="{len(bins) * 2 * BAR_WIDTH}" height="{BAR_HEIGHT}" role="img">{"".join(bars)}</svg>'


def _suite(run: SuiteRun) -> str:
    rows = "\n".join(_rule(finding) for finding in run.findings)
    # Rules about a whole table look at what was measured of it, which is a row or two.
    of_rows = any(finding.rule.level is Level.ROW for finding in run.findings)
    checked = f"<p>{run.n_rows:,} rows checked.</p>" if of_rows else ""
    return (
        f"<h2>{escape(run.name)}</h2>{checked}\n"
        f"<table>{HEAD}\n{rows}</table>\n"
        f"<details><summary>As Great Expectations tells it</summary>{_sections(run.evidence)}</details>"
    )


def _rule(finding: Finding) -> str:
    verdict = "passed" if finding.passed else "broken"
    count = f"{finding.n_broken:,}" if finding.rule.level is Level.ROW else ""
    return (
        f'<tr><td class="{verdict}">{verdict}</td><td>{escape(finding.rule.name)}</td>'
        f"<td>{escape(finding.rule.says)}</td>"
        f'<td class="count">{count}</td><td>{escape(finding.measured)}</td></tr>'
    )


def _sections(evidence: ExpectationSuiteValidationResult) -> str:
    document = ValidationResultsPageRenderer().render(evidence).to_json_dict()
    view: Any = DefaultJinjaSectionView()  # its methods carry no types
    # The first section is an overview that links to pages of a site that is not here.
    return "\n".join(
        view.render({"section": section, "section_loop": {"index": index}})
        for index, section in enumerate(document["sections"][1:], start=1)
    )
