"""Great Expectations' data docs as one page that needs nothing else: no script, style or picture from outside."""

from __future__ import annotations

from html import escape
from pathlib import Path

from great_expectations.core import ExpectationSuiteValidationResult
from great_expectations.render.renderer import ValidationResultsPageRenderer
from great_expectations.render.view import DefaultJinjaSectionView

from sources.suite_run import Finding, SuiteRun
from sources.suites import Level
from sources.validation import Validation

# The library's own page loads Bootstrap and a logo from the network; its sections are kept and the frame is ours.
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1d2733; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid #dde3ea; vertical-align: top; }
th { background: #f3f6f9; }
td.count { text-align: right; font-variant-numeric: tabular-nums; }
.passed { color: #14733b; } .broken { color: #b3261e; font-weight: 600; }
i.text-success::before { content: "kept"; color: #14733b; } i.text-danger::before { content: "broken"; color: #b3261e; }
details { margin: 0 0 2rem; } summary { cursor: pointer; color: #45566b; }
"""
HEAD = "<tr><th>Verdict</th><th>Rule</th><th>What must hold</th><th>Rows that break it</th><th>Measured</th></tr>"


def write_docs(validation: Validation, folder: Path) -> None:
    """Write `index.html`: each suite as a table of its rules, and the library's own account of it folded below."""
    body = "\n".join(_suite(run) for run in validation.runs)
    page = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Validation</title><style>{STYLE}</style>'
        f"</head><body><h1>Validation</h1>\n{body}\n</body></html>\n"
    )
    (folder / "index.html").write_text(page, encoding="utf-8")


def _suite(run: SuiteRun) -> str:
    rows = "\n".join(_rule(finding) for finding in run.findings)
    return (
        f"<h2>{escape(run.name)}</h2><p>{run.n_rows:,} rows checked.</p>\n"
        f"<table>{HEAD}\n{rows}</table>\n"
        f"<details><summary>As Great Expectations tells it</summary>{_sections(run.evidence)}</details>"
    )


def _rule(finding: Finding) -> str:
    verdict = "passed" if finding.passed else "broken"
    count = f"{finding.n_broken:,}" if finding.rule.level is Level.ROW else ""
    measured = "" if finding.observed in (None, []) else escape(str(finding.observed))
    return (
        f'<tr><td class="{verdict}">{verdict}</td><td>{escape(finding.rule.name)}</td>'
        f"<td>{escape(finding.rule.says)}</td>"
        f'<td class="count">{count}</td><td>{measured}</td></tr>'
    )


def _sections(evidence: ExpectationSuiteValidationResult) -> str:
    document = ValidationResultsPageRenderer().render(evidence).to_json_dict()
    view = DefaultJinjaSectionView()
    # The first section is an overview that links to pages of a site that is not here.
    return "\n".join(
        view.render({"section": section, "section_loop": {"index": index}})
        for index, section in enumerate(document["sections"][1:], start=1)
    )
