"""The canary's report as one HTML file that needs nothing else: tables, and the plot as SVG in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from contracts.home import Home
from contracts.web_page import render_page
from contracts.whole_files import write_whole
from release.canary.plot import draw
from release.canary.report import CanaryReport
from release.canary.tables import arms_table, checks_table, headline, left_out_table, sample_ratio_table
from release.canary.trail import TrailPoint


def write_page(home: Home, report: CanaryReport, trail: Sequence[TrailPoint]) -> Path:
    """Write the page, in place of an earlier one of the same release, and return where it is.

    Of two processes at once the last one's page stays.
    """
    path = home.reports / "canary" / f"{report.run.canary.release_id}.html"
    write_whole(path, page(report, trail).encode(), shared=True)
    return path


def page(report: CanaryReport, trail: Sequence[TrailPoint]) -> str:
    """The page's text. trail: how the guard's interval closed; without it there is no plot."""
    return render_page(
        __package__,
        "canary.html",
        title=f"Canary {report.run.canary.release_id}",
        report=report,
        headline=headline(report),
        arms=arms_table(report),
        checks=checks_table(report),
        sample_ratios=sample_ratio_table(report),
        left_out=left_out_table(report),
        plot=draw(report, trail) if trail else "",
    )
