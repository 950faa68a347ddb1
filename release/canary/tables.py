"""The canary's report as tables of text: what the terminal and the page both show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from contracts.counted import decimal_text
from recommender.judging.intervals import Interval
from release.canary.report import CanaryMetric, CanaryReport
from release.canary.sums import SETTLING

METRIC_NAMES = {
    CanaryMetric.CLICK_THROUGH_REQUEST: "requests with a click",
    CanaryMetric.CLICK_THROUGH_IMPRESSION: "clicks per impression",
    CanaryMetric.DEGRADED_SHARE: "degraded answers",
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
    since = f"It runs since {run.periods[0].since:%Y-%m-%d %H:%M} UTC at a share of {run.canary.share:g}."
    if report.breach:
        return f"{since} A guardrail is crossed, and the next sync ends it: {report.breach.sentence}"
    if report.alarm:
        return (
            f"{since} People may be lost in one arm (p {report.people_lost_p:.2g} for one look): compare nothing yet."
        )
    settled = run.periods[-1].since + SETTLING
    if report.moment < settled:
        return (
            f"{since} Too early to count: what was shown before {settled:%H:%M:%S} UTC belongs to neither arm, for "
            "servers take up a share one after the other."
        )
    fewest = min(report.production.n_people, report.canary.n_people)
    if fewest < report.limits.min_people:
        return (
            f"{since} Too early to judge clicks and degraded answers: {fewest} people in the smaller arm, "
            f"{report.limits.min_people} are asked. No guardrail is crossed."
        )
    return f"{since} No guardrail is crossed."


def arms_table(report: CanaryReport) -> Table:
    """The arms side by side, and their difference where it has an interval."""
    arms = (report.production, report.canary)
    rows = [
        ("people", *(f"{arm.n_people}" for arm in arms), "", ""),
        ("requests", *(f"{arm.n_requests}" for arm in arms), "", ""),
        ("impressions", *(f"{arm.n_impressions}" for arm in arms), "", ""),
        ("clicks", *(f"{arm.n_clicks}" for arm in arms), "", ""),
        ("distinct items", *(f"{arm.n_distinct_items}" for arm in arms), "", ""),
        *(
            (name, *(_percent(arm.ratios[metric]) for arm in arms), *_difference_cells(report, metric))
            for metric, name in METRIC_NAMES.items()
        ),
        ("mean propensity", *(decimal_text(arm.mean_propensity) for arm in arms), "", ""),
        *(
            (f"tier {tier}", *(_tier_share(arm.requests_by_tier, tier) for arm in arms), "", "")
            for tier in sorted({tier for arm in arms for tier in arm.requests_by_tier})
        ),
    ]
    return Table(("", "production", "canary", "difference, one look", "always valid"), tuple(rows))


def checks_table(report: CanaryReport) -> Table:
    """What the guard asks, and the answers."""
    rows = [(str(check.name), "CROSSED" if check.crossed else "holds", check.sentence) for check in report.checks]
    return Table(("guardrail", "verdict", "why"), tuple(rows))


def sample_ratio_table(report: CanaryReport) -> Table:
    """People by arm in each time of one share."""
    rows = [
        (
            f"{period.since:%Y-%m-%d %H:%M}",
            f"{ratio.share:g}",
            f"{ratio.n_production}",
            f"{ratio.n_canary}",
            f"{ratio.expected:.1f}",
            f"{ratio.p_once:.2g}",
            f"{ratio.p_always:.2g}",
        )
        for period, ratio in zip(report.run.periods, report.sample_ratios, strict=True)
    ]
    columns = ("since (UTC)", "share", "production", "canary", "canary expected", "p, one look", "p, always valid")
    return Table(columns, tuple(rows))


def left_out_table(report: CanaryReport) -> Table:
    """Records that count for neither arm, by their reason."""
    return Table(("records", "why"), tuple((f"{n}", reason) for reason, n in report.left_out.items()))


def _difference_cells(report: CanaryReport, metric: CanaryMetric) -> tuple[str, str]:
    difference = report.differences.get(metric)
    if difference is None:
        return "", ""
    once, always = difference.once, difference.always
    return (
        f"{100 * difference.value:+.2f} points ({100 * once.low:+.2f} to {100 * once.high:+.2f})",
        f"{100 * always.low:+.2f} to {100 * always.high:+.2f}",
    )


def _percent(ratio: Interval | None) -> str:
    return "" if ratio is None else f"{ratio.mean:.2%} ({100 * ratio.low:.2f} to {100 * ratio.high:.2f})"


def _tier_share(requests_by_tier: Mapping[str, int], tier: str) -> str:
    n_requests = sum(requests_by_tier.values())
    return f"{requests_by_tier.get(tier, 0) / n_requests:.1%}" if n_requests else ""
