"""The canary's report: each arm, their difference, whether people are divided as they should be, and what the guard
makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from math import isinf
from typing import Any

from contracts.settings.canary import CanarySettings
from recommender.judging.intervals import Interval
from release.canary.canary_run import CanaryRun
from release.canary.guardrails import DEGRADED, PER_REQUEST, GuardrailCheck, always_valid, check_guardrails
from release.canary.statistics import (
    Ratio,
    RatioDifference,
    SampleRatio,
    arm_ratio,
    n_in_both,
    n_people,
    ratio_difference,
    sample_ratios,
)
from release.canary.sums import CANARY, PRODUCTION, CanarySums, Cells, Count


class CanaryMetric(StrEnum):
    """A ratio that both arms have, as the report's JSON names it."""

    CLICK_THROUGH_REQUEST = "click_through_request"
    CLICK_THROUGH_IMPRESSION = "click_through_impression"
    DEGRADED_SHARE = "degraded_share"


RATIOS = {
    CanaryMetric.CLICK_THROUGH_REQUEST: PER_REQUEST,
    CanaryMetric.CLICK_THROUGH_IMPRESSION: Ratio(Count.CLICKS, Count.IMPRESSIONS),
    CanaryMetric.DEGRADED_SHARE: DEGRADED,
}


@dataclass(frozen=True)
class ArmReport:
    """One arm. ratios: with their interval for one look, None where there is nothing to divide by.

    requests_by_tier: of how many the tier was; mean_propensity: of the items shown, None where none were.
    """

    n_people: int
    n_requests: int
    n_clicked_requests: int
    n_impressions: int
    n_clicks: int
    n_degraded: int
    ratios: Mapping[CanaryMetric, Interval | None]
    requests_by_tier: Mapping[str, int]
    n_distinct_items: int
    mean_propensity: float | None

    @classmethod
    def of(cls, sums: CanarySums, cells: Cells, arm: int) -> ArmReport:
        """What the sums say of this arm."""
        totals = {count: int(column[cells.arm == arm].sum()) for count, column in cells.counts.items()}
        n_shown = totals[Count.IMPRESSIONS]
        return cls(
            n_people=n_people(cells, arm),
            n_requests=totals[Count.REQUESTS],
            n_clicked_requests=totals[Count.CLICKED_REQUESTS],
            n_impressions=n_shown,
            n_clicks=totals[Count.CLICKS],
            n_degraded=totals[Count.DEGRADED],
            ratios={metric: arm_ratio(cells, arm, ratio) for metric, ratio in RATIOS.items()},
            requests_by_tier={tier: n for (of, tier), n in sorted(sums.tiers.items()) if of == arm},
            n_distinct_items=sums.n_items(arm),
            mean_propensity=sums.propensity(arm) / n_shown if n_shown else None,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "people": self.n_people,
            "requests": self.n_requests,
            "clicked_requests": self.n_clicked_requests,
            "impressions": self.n_impressions,
            "clicks": self.n_clicks,
            "degraded": self.n_degraded,
            **{str(metric): interval and _interval_fields(interval) for metric, interval in self.ratios.items()},
            "tiers": dict(self.requests_by_tier),
            "distinct_items": self.n_distinct_items,
            "mean_propensity": self.mean_propensity,
        }


@dataclass(frozen=True)
class MetricDifference:
    """The canary's ratio minus production's. once: its interval for one look; always: for every look together."""

    value: float
    once: Interval
    always: Interval

    @classmethod
    def of(cls, difference: RatioDifference, limits: CanarySettings) -> MetricDifference:
        """With the interval that the guard looks at."""
        return cls(difference.value, difference.once(), always_valid(difference, limits))

    def to_json(self) -> dict[str, Any]:
        always = None if isinf(self.always.low) else [self.always.low, self.always.high]
        return {"value": self.value, "once": [self.once.low, self.once.high], "always": always}


@dataclass(frozen=True)
class CanaryReport:
    """Everything that is known of a canary at one moment.

    differences: of the metrics whose arms were seen at the same time; sample_ratios: by period, as in the run;
    left_out: how many records do not count, by the reason.
    """

    run: CanaryRun
    moment: datetime
    production: ArmReport
    canary: ArmReport
    differences: Mapping[CanaryMetric, MetricDifference]
    sample_ratios: list[SampleRatio]
    n_in_both: int
    n_read: int
    left_out: Mapping[str, int]
    checks: tuple[GuardrailCheck, ...]
    limits: CanarySettings

    @property
    def breach(self) -> GuardrailCheck | None:
        """The first guardrail that is crossed."""
        return next((check for check in self.checks if check.crossed), None)

    @property
    def people_lost_p(self) -> float:
        """For one look: the chance of people divided as badly as these or worse (Bonferroni over the periods)."""
        return min(1.0, len(self.sample_ratios) * min(ratio.p_once for ratio in self.sample_ratios))

    @property
    def alarm(self) -> bool:
        """Whether whoever looks once should believe that people are lost in one arm."""
        return self.people_lost_p < self.limits.srm_alpha

    def to_json(self) -> dict[str, Any]:
        periods = [
            {
                "since": period.since.isoformat(),
                "until": period.until and period.until.isoformat(),
                **ratio.to_json(),
            }
            for period, ratio in zip(self.run.periods, self.sample_ratios, strict=True)
        ]
        return {
            "canary": {**self.run.canary.__dict__, "version": self.run.version},
            "beside": self.run.beside,
            "ended": self.run.ended,
            "moment": self.moment.isoformat(),
            "arms": {"production": self.production.to_json(), "canary": self.canary.to_json()},
            "differences": {str(metric): difference.to_json() for metric, difference in self.differences.items()},
            # Of periods: the key is older than the word, and programs read it.
            "sample_ratio": {"segments": periods, "p": self.people_lost_p, "alarm": self.alarm},
            "people_in_both_arms": self.n_in_both,
            "records": {"read": self.n_read, "left_out": dict(self.left_out)},
            "guard": [check.to_json() for check in self.checks],
        }


def build_report(sums: CanarySums, run: CanaryRun, limits: CanarySettings, moment: datetime) -> CanaryReport:
    """What the sums say at this moment."""
    cells = sums.cells()
    shares = [period.share for period in run.periods]
    return CanaryReport(
        run=run,
        moment=moment,
        production=ArmReport.of(sums, cells, PRODUCTION),
        canary=ArmReport.of(sums, cells, CANARY),
        differences=_differences(cells, limits),
        sample_ratios=sample_ratios(cells, shares),
        n_in_both=n_in_both(cells),
        n_read=sums.n_read,
        left_out={reason: n for reason, n in sorted(sums.left_out.items()) if n},
        checks=check_guardrails(cells, shares, limits),
        limits=limits,
    )


def _differences(cells: Cells, limits: CanarySettings) -> dict[CanaryMetric, MetricDifference]:
    differences = {metric: ratio_difference(cells, ratio) for metric, ratio in RATIOS.items()}
    return {
        metric: MetricDifference.of(difference, limits)
        for metric, difference in differences.items()
        if difference is not None
    }


def _interval_fields(interval: Interval) -> dict[str, float]:
    return {"value": interval.mean, "low": interval.low, "high": interval.high}
