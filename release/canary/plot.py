"""The canary's plot as SVG: click-through by arm, and how the guard's interval closed.

Its colours are those of the page's style, by their names: it is as light or dark as the page that it stands in.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from release.canary.report import CanaryMetric, CanaryReport
from release.canary.trail import TrailPoint

# Matplotlib wants colours it can read; in the SVG each becomes the style's colour of that name.
INK, QUIET, PRODUCTION_INK, CANARY_INK = "#010101", "#020202", "#030303", "#040404"
STYLE_COLOURS = {INK: "var(--ink)", QUIET: "var(--quiet)", PRODUCTION_INK: "var(--blue)", CANARY_INK: "var(--orange)"}
SETTINGS: dict[Any, Any] = {  # matplotlib types its names as literals
    "svg.fonttype": "none",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


def draw(report: CanaryReport, trail: Sequence[TrailPoint]) -> str:
    """An `<svg>` element; the same report gives the same text. trail: one point at least."""
    # Commands that draw nothing need not wait for it.
    from matplotlib import rc_context, style  # noqa: PLC0415 see above
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415 see above
    from matplotlib.figure import Figure  # noqa: PLC0415 see above

    with style.context("default"), rc_context({**SETTINGS, "svg.hashsalt": report.run.canary.salt}):
        figure = Figure(figsize=(10, 3.6), layout="constrained")
        FigureCanvasSVG(figure)
        left, right = figure.subplots(1, 2, width_ratios=[1, 2])
        _draw_arms(left, report)
        _draw_trail(right, trail, report.limits.min_people)
        svg = io.StringIO()
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return _in_style_colours(svg.getvalue()[svg.getvalue().index("<svg") :])


def _in_style_colours(svg: str) -> str:
    for drawn, named in STYLE_COLOURS.items():
        svg = svg.replace(drawn, named)
    return svg


def _draw_arms(axes: Any, report: CanaryReport) -> None:
    arms = {"production": (report.production, PRODUCTION_INK), "canary": (report.canary, CANARY_INK)}
    for at, (arm, colour) in enumerate(arms.values()):
        ratio = arm.ratios[CanaryMetric.CLICK_THROUGH_REQUEST]
        if ratio is None:
            continue
        spread = [[100 * (ratio.mean - ratio.low)], [100 * (ratio.high - ratio.mean)]]
        axes.errorbar([at], [100 * ratio.mean], yerr=spread, fmt="o", color=colour, capsize=6)
    axes.set_xticks([0, 1], list(arms))
    axes.set_xlim(-0.6, 1.6)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("requests with a click, %")
    axes.set_title("Click-through, 95%", fontsize=11)


def _draw_trail(axes: Any, trail: Sequence[TrailPoint], min_people: int) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter  # noqa: PLC0415 as above

    people = [point.n_people for point in trail]
    low, high = [100 * point.low for point in trail], [100 * point.high for point in trail]
    axes.fill_between(people, low, high, color=CANARY_INK, alpha=0.2, linewidth=0)
    axes.plot(people, [100 * point.value for point in trail], color=CANARY_INK, marker=".")
    axes.axhline(0, color=INK, linewidth=1)
    axes.axvline(min_people, color=QUIET, linewidth=1, linestyle=":", label=f"it speaks from {min_people} on")
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
