"""What the guard asks of a canary's counts, and the answers: are people lost, does it degrade, does it lose clicks?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from contracts.settings.canary import CanarySettings
from recommender.judging.intervals import Interval
from release.canary.statistics import (
    Ratio,
    RatioDifference,
    SampleRatio,
    n_people,
    p_value_over_periods,
    ratio_difference,
    sample_ratios,
)
from release.canary.sums import ARMS, Cells, Count

PER_REQUEST = Ratio(Count.CLICKED_REQUESTS, Count.REQUESTS)
DEGRADED = Ratio(Count.DEGRADED, Count.REQUESTS)
# The guard asks two questions besides the sample ratio: one of them is answered wrongly with chance 5% at most.
GUARD_ALPHA = 0.05 / 2


class Guardrail(StrEnum):
    """What is asked, as the report and the journal name it."""

    SAMPLE_RATIO = "sample_ratio"
    DEGRADED = "degraded"
    CLICKS = "clicks"


@dataclass(frozen=True)
class GuardrailCheck:
    """One guardrail. value: the end of the interval that speaks for the canary, or a p-value; None: too early.

    limit: what the value is held against; for clicks 0, as the loss that is allowed is taken off production's before.
    """

    name: Guardrail
    crossed: bool
    sentence: str
    value: float | None = None
    limit: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {**self.__dict__, "name": str(self.name)}


def check_guardrails(cells: Cells, shares: Sequence[float], limits: CanarySettings) -> tuple[GuardrailCheck, ...]:
    """What the guard makes of the counts. shares: of the periods, in their order.

    However often it is asked, a canary that keeps what it must is ended with a chance of 5% at most, and with
    `srm_alpha` more for people who seem lost: docs/adr/0009-canary-statistics.md.
    """
    lost = _sample_ratio_check(sample_ratios(cells, shares), limits)
    fewest = min(n_people(cells, arm) for arm in range(len(ARMS)))
    if fewest < limits.min_people:
        early = f"Too early: {fewest} people in the smaller arm, {limits.min_people} are asked."
        return lost, _open_check(Guardrail.DEGRADED, early), _open_check(Guardrail.CLICKS, early)
    return lost, _degraded_check(cells, limits), _clicks_check(cells, limits)


def always_valid(difference: RatioDifference, limits: CanarySettings) -> Interval:
    """The guard's interval of a difference."""
    return difference.always(GUARD_ALPHA, limits.min_people)


def kept_clicks(cells: Cells, limits: CanarySettings) -> RatioDifference | None:
    """The canary's click-through above the part of production's that it must keep."""
    return ratio_difference(cells, PER_REQUEST, 1 - limits.max_click_loss)


def _sample_ratio_check(ratios: list[SampleRatio], limits: CanarySettings) -> GuardrailCheck:
    p = p_value_over_periods([ratio.p_always for ratio in ratios])
    counts = "; ".join(
        f"{ratio.n_canary} of {ratio.n_canary + ratio.n_production} people at share {ratio.share:g}, "
        f"{ratio.expected:.1f} expected"
        for ratio in ratios
    )
    crossed = p < limits.srm_alpha
    verdict = "people are lost in one arm, and what is left cannot be compared" if crossed else "as the share says"
    sentence = f"{counts}: {verdict} (p {p:.2g})."
    return GuardrailCheck(Guardrail.SAMPLE_RATIO, crossed, sentence, p, limits.srm_alpha)


def _degraded_check(cells: Cells, limits: CanarySettings) -> GuardrailCheck:
    difference = ratio_difference(cells, DEGRADED)
    if difference is None:
        return _never_together(Guardrail.DEGRADED)
    least = always_valid(difference, limits).low
    sentence = (
        f"Of its answers {100 * difference.value:+.2f} points more are degraded than of production's; the better end "
        f"of the interval is {100 * least:+.2f}, and {100 * limits.max_degraded_share:.2f} are allowed."
    )
    crossed = least > limits.max_degraded_share
    return GuardrailCheck(Guardrail.DEGRADED, crossed, sentence, least, limits.max_degraded_share)


def _clicks_check(cells: Cells, limits: CanarySettings) -> GuardrailCheck:
    difference = kept_clicks(cells, limits)
    if difference is None:
        return _never_together(Guardrail.CLICKS)
    most = always_valid(difference, limits).high
    sentence = (
        f"Its click-through is {100 * difference.value:+.2f} points from the {1 - limits.max_click_loss:.0%} of "
        f"production's that it must keep; the better end of the interval is {100 * most:+.2f}."
    )
    return GuardrailCheck(Guardrail.CLICKS, most < 0, sentence, most, 0.0)


def _never_together(guardrail: Guardrail) -> GuardrailCheck:
    return _open_check(guardrail, "The arms were never seen at the same time.")


def _open_check(guardrail: Guardrail, sentence: str) -> GuardrailCheck:
    """A check that has nothing to go by yet."""
    return GuardrailCheck(guardrail, crossed=False, sentence=sentence)
