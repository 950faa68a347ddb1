"""The canary's report as tables of text: what the terminal and the page both show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from release.canary.report import CanaryReport, always_valid
from release.canary.sums import ARMS

RATIO_NAMES = {
    "click_through_request": "requests with a click",
    "click_through_impression": "clicks per impression",
    "degraded_share": "degraded answers",
}


@dataclass(frozen=True)
class Table:
    """Rows of cells below their columns' names."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def headline(report: CanaryReport) -> str:
    """How the canary stands, in a sentence or two."""
    run = report.run
    if run.ended:
        return f"Ended. {run.ended}"
    since = f"It runs since {run.segments[0].since:%Y-%m-%d %H:%M} UTC at a share of {run.canary.share:g}."
    if report.breach:
        return f"{since} A guardrail is crossed, and the next sync ends it: {report.breach.sentence}"
    if report.alarm:
        return (
            f"{since} People may be lost in one arm (p {report.people_lost_p:.2g} for one look): compare nothing yet."
        )
    return f"{since} No guardrail is crossed."


def arms_table(report: CanaryReport) -> Table:
    """The arms side by side, and their difference where it has an interval."""
    arms = [report.arms[name] for name in ARMS]
    counts = ("people", "requests", "impressions", "clicks", "distinct_items")
    rows = [(name.replace("_", " "), *(f"{arm[name]}" for arm in arms), "", "") for name in counts]
    rows += [
        (label, *(_percent(arm[name]) for arm in arms), *_differences(report, name))
        for name, label in RATIO_NAMES.items()
    ]
    rows.append(("mean propensity", *(_plain(arm["mean_propensity"]) for arm in arms), "", ""))
    tiers = sorted({tier for arm in arms for tier in arm["tiers"]})
    rows += [(f"tier {tier}", *(_share(arm["tiers"], tier) for arm in arms), "", "") for tier in tiers]
    return Table(("", *ARMS, "difference, one look", "always valid"), tuple(rows))


def checks_table(report: CanaryReport) -> Table:
    """What the guard asks, and the answers."""
    rows = [(check.name, "CROSSED" if check.crossed else "holds", check.sentence) for check in report.checks]
    return Table(("guardrail", "verdict", "why"), tuple(rows))


def sample_ratio_table(report: CanaryReport) -> Table:
    """People by arm in each time of one share."""
    rows = [
        (
            f"{segment.since:%Y-%m-%d %H:%M}",
            f"{ratio.share:g}",
            f"{ratio.n_production}",
            f"{ratio.n_canary}",
            f"{ratio.expected:.1f}",
            f"{ratio.p_once:.2g}",
            f"{ratio.p_always:.2g}",
        )
        for segment, ratio in zip(report.run.segments, report.sample_ratios, strict=True)
    ]
    columns = ("since (UTC)", "share", "production", "canary", "canary expected", "p, one look", "p, always valid")
    return Table(columns, tuple(rows))


def left_out_table(report: CanaryReport) -> Table:
    """Records that count for neither arm, by their reason."""
    return Table(("records", "why"), tuple((f"{n}", reason) for reason, n in report.left_out.items()))


def _differences(report: CanaryReport, name: str) -> tuple[str, str]:
    found = report.differences.get(name)
    if found is None:
        return "", ""
    always = always_valid(found, report.limits)
    return (
        _points({"value": found.value, "low": found.once().low, "high": found.once().high}),
        f"{100 * always.low:+.2f} to {100 * always.high:+.2f}",
    )


def _percent(told: Mapping[str, float] | None) -> str:
    return "" if told is None else f"{told['value']:.2%} ({100 * told['low']:.2f} to {100 * told['high']:.2f})"


def _points(told: Mapping[str, float]) -> str:
    return f"{100 * told['value']:+.2f} points ({100 * told['low']:+.2f} to {100 * told['high']:+.2f})"


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _share(tiers: Mapping[str, Any], tier: str) -> str:
    n_requests = sum(tiers.values())
    return f"{tiers.get(tier, 0) / n_requests:.1%}" if n_requests else ""
