"""The canary's report: each arm, their difference, whether people are divided as they should be, and what the guard
makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from contracts.settings.canary import CanarySettings
from recommender.metrics import Interval
from release.canary.history import Run
from release.canary.statistics import (
    Difference,
    Ratio,
    SampleRatio,
    arm_ratio,
    difference,
    n_in_both,
    over_segments,
    sample_ratios,
)
from release.canary.sums import ARMS, COUNTS, CanarySums, Cells

PER_REQUEST = Ratio("clicked_requests", "requests")
PER_IMPRESSION = Ratio("clicks", "impressions")
DEGRADED = Ratio("degraded", "requests")
RATIOS = {"click_through_request": PER_REQUEST, "click_through_impression": PER_IMPRESSION, "degraded_share": DEGRADED}
# The guard asks two questions besides the sample ratio: one of them is answered wrongly with chance 5% at most.
GUARD_ALPHA = 0.05 / 2


@dataclass(frozen=True)
class Check:
    """One guardrail. value: the end of the interval that speaks for the candidate, or a p-value; None: too early.

    limit: what the value is held against; for clicks 0, as the loss that is allowed is taken off production's before.
    """

    name: str
    crossed: bool
    sentence: str
    value: float | None = None
    limit: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {**self.__dict__}


@dataclass(frozen=True)
class CanaryReport:
    """Everything that is known of a canary at one moment. sample_ratios: by segment, as in the run."""

    run: Run
    moment: datetime
    arms: dict[str, dict[str, Any]]
    differences: dict[str, Difference]
    sample_ratios: list[SampleRatio]
    n_in_both: int
    n_read: int
    left_out: dict[str, int]
    checks: tuple[Check, ...]
    limits: CanarySettings

    @property
    def breach(self) -> Check | None:
        """The first guardrail that is crossed."""
        return next((check for check in self.checks if check.crossed), None)

    @property
    def people_lost_p(self) -> float:
        """For one look: the chance of people divided as badly as these or worse (Bonferroni over the segments)."""
        return min(1.0, len(self.sample_ratios) * min(ratio.p_once for ratio in self.sample_ratios))

    @property
    def alarm(self) -> bool:
        """Whether whoever looks once should believe that people are lost in one arm."""
        return self.people_lost_p < self.limits.srm_alpha

    def to_json(self) -> dict[str, Any]:
        segments = [
            {
                "since": segment.since.isoformat(),
                "until": segment.until and segment.until.isoformat(),
                **ratio.to_json(),
            }
            for segment, ratio in zip(self.run.segments, self.sample_ratios, strict=True)
        ]
        return {
            "canary": {**self.run.canary.__dict__, "version": self.run.version},
            "beside": self.run.beside,
            "ended": self.run.ended,
            "moment": self.moment.isoformat(),
            "arms": self.arms,
            "differences": {name: self._told(name) for name in self.differences},
            "sample_ratio": {"segments": segments, "p": self.people_lost_p, "alarm": self.alarm},
            "people_in_both_arms": self.n_in_both,
            "records": {"read": self.n_read, "left_out": self.left_out},
            "guard": [check.to_json() for check in self.checks],
        }

    def _told(self, name: str) -> dict[str, Any]:
        found = self.differences[name]
        always = always_valid(found, self.limits)
        ends = None if abs(always.low) == float("inf") else [always.low, always.high]
        return {"value": found.value, "once": _ends(found.once()), "always": ends}


def build_report(sums: CanarySums, run: Run, limits: CanarySettings, moment: datetime) -> CanaryReport:
    """What the sums say at this moment."""
    cells = sums.cells()
    found = {name: difference(cells, ratio) for name, ratio in RATIOS.items()}
    shares = [segment.share for segment in run.segments]
    arms = {name: _arm(sums, cells, arm) for arm, name in enumerate(ARMS)}
    return CanaryReport(
        run=run,
        moment=moment,
        arms=arms,
        differences={name: value for name, value in found.items() if value is not None},
        sample_ratios=sample_ratios(cells, shares),
        n_in_both=n_in_both(cells),
        n_read=sums.n_read,
        left_out={reason: n for reason, n in sorted(sums.left_out.items()) if n},
        checks=judge(cells, shares, limits),
        limits=limits,
    )


def judge(cells: Cells, shares: Sequence[float], limits: CanarySettings) -> tuple[Check, ...]:
    """What the guard makes of the counts. shares: of the segments, in their order.

    However often it is asked, a candidate that keeps what it must is ended with a chance of 5% at most, and with
    `srm_alpha` more for people who seem lost: docs/adr/0009-canary-statistics.md.
    """
    lost = _people_lost(sample_ratios(cells, shares), limits)
    fewest = min(n_people(cells, arm) for arm in range(len(ARMS)))
    if fewest < limits.min_people:
        early = f"Too early: {fewest} people in the smaller arm, {limits.min_people} are asked."
        return lost, Check("degraded", crossed=False, sentence=early), Check("clicks", crossed=False, sentence=early)
    return lost, _degraded(cells, limits), _clicks(cells, limits)


def always_valid(found: Difference, limits: CanarySettings) -> Interval:
    """The guard's interval of a difference."""
    return found.always(GUARD_ALPHA, limits.min_people)


def _arm(sums: CanarySums, cells: Cells, arm: int) -> dict[str, Any]:
    ours = cells.arm == arm
    counts = {name: int(cells.counts[name][ours].sum()) for name in COUNTS}
    shown = counts["impressions"]
    return {
        "people": n_people(cells, arm),
        **counts,
        **{name: _told(arm_ratio(cells, arm, ratio)) for name, ratio in RATIOS.items()},
        "tiers": {tier: n for (of, tier), n in sorted(sums.tiers.items()) if of == arm},
        "distinct_items": sums.n_items(arm),
        "mean_propensity": sums.propensity(arm) / shown if shown else None,
    }


def n_people(cells: Cells, arm: int) -> int:
    """How many people an arm had, each once."""
    people = cells.person[cells.arm == arm]  # those of one person stand together
    return int(np.count_nonzero(people[1:] != people[:-1])) + bool(len(people))


def _people_lost(ratios: list[SampleRatio], limits: CanarySettings) -> Check:
    p = over_segments([ratio.p_always for ratio in ratios])
    found = "; ".join(
        f"{ratio.n_canary} of {ratio.n_canary + ratio.n_production} people at share {ratio.share:g}, "
        f"{ratio.expected:.1f} expected"
        for ratio in ratios
    )
    crossed = p < limits.srm_alpha
    verdict = "people are lost in one arm, and what is left cannot be compared" if crossed else "as the share says"
    return Check("sample_ratio", crossed, f"{found}: {verdict} (p {p:.2g}).", p, limits.srm_alpha)


def _degraded(cells: Cells, limits: CanarySettings) -> Check:
    found = difference(cells, DEGRADED)
    if found is None:
        return _never_together("degraded")
    least = always_valid(found, limits).low
    sentence = (
        f"Of its answers {100 * found.value:+.2f} points more are degraded than of production's; the better end of the "
        f"interval is {100 * least:+.2f}, and {100 * limits.max_degraded_share:.2f} are allowed."
    )
    return Check("degraded", least > limits.max_degraded_share, sentence, least, limits.max_degraded_share)


def _clicks(cells: Cells, limits: CanarySettings) -> Check:
    kept = 1 - limits.max_click_loss
    found = difference(cells, PER_REQUEST, kept)
    if found is None:
        return _never_together("clicks")
    most = always_valid(found, limits).high
    sentence = (
        f"Its click-through is {100 * found.value:+.2f} points from the {kept:.0%} of production's that it must keep; "
        f"the better end of the interval is {100 * most:+.2f}."
    )
    return Check("clicks", most < 0, sentence, most, 0.0)


def _never_together(name: str) -> Check:
    return Check(name, crossed=False, sentence="The arms were never seen at the same time.")


def _told(found: Interval | None) -> dict[str, float] | None:
    return None if found is None else {"value": found.mean, "low": found.low, "high": found.high}


def _ends(found: Interval) -> list[float]:
    return [found.low, found.high]
