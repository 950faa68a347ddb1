"""The canary's report as one HTML file that needs nothing else: tables, and the plot as SVG in it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from contracts.home import Home
from contracts.whole_files import write_whole
from release.canary.report import CanaryReport
from release.canary.tables import Table, arms_table, checks_table, headline, left_out_table, sample_ratio_table
from release.canary.trail import Mark

CANARY_COLOUR = "#d95f02"
PRODUCTION_COLOUR = "#1b6ca8"
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; } th, td { text-align: left; padding: .25rem .9rem .25rem 0; vertical-align: top; }
th { border-bottom: 1px solid #999; } td { border-bottom: 1px solid #e4e4e4; }
.verdict { padding: .6rem 1rem; border-left: 5px solid #1b6ca8; background: #f2f6fa; }
.verdict.bad { border-color: #c0392b; background: #fbefed; }
svg { max-width: 100%; height: auto; margin-top: 1.5rem; }
"""


def write_page(home: Home, report: CanaryReport, marks: Sequence[Mark]) -> Path:
    """Write the page, in place of an earlier one of the same release, and return where it is."""
    path = home.reports / "canary" / f"{report.run.canary.release_id}.html"
    write_whole(path, page(report, marks).encode())
    return path


def page(report: CanaryReport, marks: Sequence[Mark]) -> str:
    """The page's text."""
    run = report.run
    bad = "bad" if report.breach or report.alarm else ""
    parts = [
        f"<h1>Canary {escape(run.canary.release_id)} beside {escape(run.beside)}</h1>",
        f'<p class="verdict {bad}">{escape(headline(report))}</p>',
        "<h2>The arms</h2>",
        _table(arms_table(report)),
        f"<p>{_about_arms(report)}</p>",
        "<h2>What the guard asks</h2>",
        _table(checks_table(report)),
        _plot(report, marks),
        "<h2>Are people lost?</h2>",
        _table(sample_ratio_table(report)),
        "<h2>What does not count</h2>",
        _table(left_out_table(report)) if report.left_out else "<p>Every record counts.</p>",
        f"<p>As of {report.moment:%Y-%m-%d %H:%M:%S} UTC, {report.n_read} records read.</p>",
    ]
    title = f"Canary {escape(run.canary.release_id)}"
    head = f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    return f"{head}<style>{STYLE}</style></head>\n<body>\n" + "\n".join(parts) + "\n</body></html>\n"


def _about_arms(report: CanaryReport) -> str:
    return (
        "Intervals are of 95%, the person is the unit. "
        f"{report.n_in_both} people were in both arms, one after the other: they count in each for what they were "
        "shown there."
    )


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in table.columns)
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _plot(report: CanaryReport, marks: Sequence[Mark]) -> str:
    """Click-through by arm, and the guard's interval closing; nothing before there is a first mark."""
    if not marks:
        return "<p>There is nothing to draw yet: both arms must have been seen.</p>"
    # Commands that draw nothing need not wait for it.
    from matplotlib import rc_context, style  # noqa: PLC0415 see above
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415 see above
    from matplotlib.figure import Figure  # noqa: PLC0415 see above

    with style.context("default"), rc_context({"svg.hashsalt": report.run.canary.salt, "svg.fonttype": "none"}):
        figure = Figure(figsize=(10, 3.6), layout="constrained")
        FigureCanvasSVG(figure)
        left, right = figure.subplots(1, 2, width_ratios=[1, 2])
        _draw_arms(left, report)
        _draw_trail(right, marks, report.limits.min_people)
        for axes in (left, right):
            axes.spines[["top", "right"]].set_visible(False)
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    return drawn.getvalue()[drawn.getvalue().index("<svg") :]


def _draw_arms(axes: Any, report: CanaryReport) -> None:
    colours = {"production": PRODUCTION_COLOUR, "canary": CANARY_COLOUR}
    for at, (arm, colour) in enumerate(colours.items()):
        told = report.arms[arm]["click_through_request"]
        if told is None:
            continue
        spread = [[100 * (told["value"] - told["low"])], [100 * (told["high"] - told["value"])]]
        axes.errorbar([at], [100 * told["value"]], yerr=spread, fmt="o", color=colour, capsize=6)
    axes.set_xticks([0, 1], list(colours))
    axes.set_xlim(-0.6, 1.6)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("requests with a click, %")
    axes.set_title("Click-through, 95%", fontsize=11)


def _draw_trail(axes: Any, marks: Sequence[Mark], min_people: int) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter  # noqa: PLC0415 as above

    people = [mark.n_people for mark in marks]
    low, high = [100 * mark.low for mark in marks], [100 * mark.high for mark in marks]
    axes.fill_between(people, low, high, color=CANARY_COLOUR, alpha=0.2, linewidth=0)
    axes.plot(people, [100 * mark.value for mark in marks], color=CANARY_COLOUR, marker=".")
    axes.axhline(0, color="#444444", linewidth=1)
    axes.axvline(min_people, color="#888888", linewidth=1, linestyle=":", label=f"it speaks from {min_people} on")
    axes.legend(frameon=False, loc="lower right")
    if len(people) > 1:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:.0f}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        # The first intervals are as wide as can be; what matters is where they close.
        widest = max(abs(high[len(high) // 3]), abs(low[len(low) // 3]))
        axes.set_ylim(-widest, widest)
    axes.set_xlabel("people in the canary so far")
    axes.set_ylabel("points above what must be kept")
    axes.set_title("The guard's interval: wholly below 0, the canary ends", fontsize=11)
