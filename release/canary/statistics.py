"""Statistics of a canary: ratios with the person as the unit, their difference, and whether people are lost.

An interval comes in two kinds. `once` is the usual 95% one: right for somebody who looks once. `always` holds at every
look at the same time, however many there are, and is what may end a canary: see docs/adr/0009-canary-statistics.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, log, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betaln
from scipy.stats import chisquare, norm

from recommender.judging.intervals import Interval
from release.canary.sums import CANARY, PRODUCTION, Cells, Count

LEVEL = 0.95
# How strongly the prior of the sample-ratio test believes in the share, in people: small enough to notice that half of
# them are lost after some dozens, large enough for one in twenty after some thousands.
PRIOR_PEOPLE = 1000.0

PerCell = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ratio:
    """Two counts, the first over the second."""

    numerator: Count
    denominator: Count


@dataclass(frozen=True)
class RatioDifference:
    """The canary's ratio minus `weight` times production's, within the times in which the share stayed the same.

    n_people: as many in the canary would tell as much beside a production without end.
    """

    value: float
    error: float
    n_people: float

    def once(self) -> Interval:
        """For one look."""
        return _interval_around(self.value, float(norm.ppf((1 + LEVEL) / 2)) * self.error)

    def always(self, alpha: float, sharpest_at: float) -> Interval:
        """For as many looks as anybody takes: it misses at one of them with chance `alpha` at most, many people given.

        sharpest_at: the number of people at which it is narrowest beside `once`; to be chosen beforehand.
        Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, Annals of Statistics 52(6), 2024; the mixture is
        that of Robbins, Annals of Mathematical Statistics 41(5), 1970.
        """
        if not self.n_people:
            return Interval(self.value, -inf, inf)
        rho_squared = (-2 * log(alpha) + log(-2 * log(alpha) + 1)) / sharpest_at
        t = self.n_people * rho_squared
        return _interval_around(self.value, self.error * sqrt(2 * (t + 1) / t * log(sqrt(t + 1) / alpha)))


def arm_ratio(cells: Cells, arm: int, ratio: Ratio) -> Interval | None:
    """An arm's ratio with its interval for one look; None where there is nothing to divide by.

    Source: the delta method with the person as the unit; Deng, Knoblich and Lu, KDD 2018.
    """
    ours = cells.arm == arm
    above, below = cells.counts[ratio.numerator][ours], cells.counts[ratio.denominator][ours]
    if not below.sum():
        return None
    value = above.sum() / below.sum()
    errors = _sums_per_person(cells.person[ours], (above - value * below) / below.sum())
    interval = _interval_around(float(value), float(norm.ppf((1 + LEVEL) / 2) * sqrt((errors**2).sum())))
    return Interval(interval.mean, max(interval.low, 0.0), min(interval.high, 1.0))


def ratio_difference(cells: Cells, ratio: Ratio, weight: float = 1.0) -> RatioDifference | None:
    """Compare the arms within each period, and average over periods; None before both were seen in one.

    Arms are never compared across a change of the share: what changed with time would look like an effect of the
    canary (Crook et al., Seven Pitfalls, KDD 2009). A period weighs as much as it tells (Mantel and
    Haenszel, 1959). The canary's variance is taken to be production's per person at least: one with hardly a click
    would look certain.
    """
    usable = _PeriodRatios.of(cells, ratio)
    if not usable.weights.any():
        return None
    value = float(usable.weights @ (usable.ratios[CANARY] - weight * usable.ratios[PRODUCTION]))
    variance = usable.variance(CANARY, floor=True) + weight**2 * usable.variance(PRODUCTION)
    n_production, n_canary = usable.n_people.sum(axis=1)
    return RatioDifference(value, sqrt(variance), float(n_production * n_canary / (n_production + n_canary)))


@dataclass(frozen=True)
class SampleRatio:
    """How one period's people are divided. p_once, p_always: the chance of that or worse, as the intervals' kinds."""

    share: float
    n_production: int
    n_canary: int
    p_once: float
    p_always: float

    @property
    def expected(self) -> float:
        return self.share * (self.n_production + self.n_canary)

    def to_json(self) -> dict[str, float]:
        return {
            "share": self.share,
            "production": self.n_production,
            "canary": self.n_canary,
            "canary_expected": self.expected,
            "p_once": self.p_once,
            "p_always": self.p_always,
        }


def sample_ratios(cells: Cells, shares: Sequence[float]) -> list[SampleRatio]:
    """How people are divided in each period. shares: of the periods, in their order."""
    counts = _sums_by_period(cells, np.ones(len(cells.arm)), len(shares))
    return [_sample_ratio(share, *counts[:, at].astype(int).tolist()) for at, share in enumerate(shares)]


def p_value_over_periods(p_values: Sequence[float]) -> float:
    """One p-value of those for every look, in the order of the periods, whatever people come back in them.

    Bonferroni with weights 1/1*2, 1/2*3, ..., which sum to one however many periods there will be.
    """
    return min([1.0, *(p * number * (number + 1) for number, p in enumerate(p_values, start=1))])


def n_people(cells: Cells, arm: int) -> int:
    """How many people an arm had, each once."""
    people = cells.person[cells.arm == arm]  # those of one person stand together
    return int(np.count_nonzero(people[1:] != people[:-1])) + bool(len(people))


def n_in_both(cells: Cells) -> int:
    """People who were in both arms, one after the other."""
    people, of_cell = np.unique(cells.person, return_inverse=True)
    arms_seen = np.zeros((2, len(people)), bool)
    arms_seen[cells.arm, of_cell] = True
    return int(np.count_nonzero(arms_seen.all(axis=0)))


@dataclass(frozen=True)
class _PeriodRatios:
    """The parts of a difference. ratios, n_people: (2, n_periods); weights: (n_periods,), they sum to one.

    influence: (n,) how much each cell moves its period's ratio.
    """

    cells: Cells
    ratios: PerCell
    n_people: PerCell
    weights: PerCell
    influence: PerCell

    @classmethod
    def of(cls, cells: Cells, ratio: Ratio) -> _PeriodRatios:
        n_periods = int(cells.period.max(initial=0)) + 1
        above, below = cells.counts[ratio.numerator], cells.counts[ratio.denominator]
        sums, sizes = _sums_by_period(cells, above, n_periods), _sums_by_period(cells, below, n_periods)
        compared = (sizes > 0).all(axis=0)
        ratios = np.divide(sums, sizes, out=np.zeros_like(sums), where=sizes > 0)
        weights = np.zeros(n_periods)
        weights[compared] = sizes[:, compared].prod(axis=0) / sizes[:, compared].sum(axis=0)
        weights /= weights.sum() or 1.0
        n_people = _sums_by_period(cells, np.ones(len(below)), n_periods) * compared
        sizes_here = sizes[cells.arm, cells.period]
        influence = weights[cells.period] * (above - ratios[cells.arm, cells.period] * below) / sizes_here
        return cls(cells, ratios, n_people, weights, influence)

    def variance(self, arm: int, *, floor: bool = False) -> float:
        """Of the arm's weighted ratio; floor: at least what production's people would give in this arm's number."""
        ours = self.cells.arm == arm
        observed = float((_sums_per_person(self.cells.person[ours], self.influence[ours]) ** 2).sum())
        if not floor:
            return observed
        squares = _sums_by_period(self.cells, self.influence**2, len(self.weights))[PRODUCTION]
        compared = self.n_people[CANARY] > 0
        n_production, n_canary = self.n_people[:, compared]
        return max(observed, float((squares[compared] * n_production / n_canary).sum()))


def _sample_ratio(share: float, n_production: int, n_canary: int) -> SampleRatio:
    n_people = n_production + n_canary
    if not n_people:
        return SampleRatio(share, 0, 0, 1.0, 1.0)
    expected = [(1 - share) * n_people, share * n_people]
    p_once = float(chisquare([n_production, n_canary], expected).pvalue)
    return SampleRatio(share, n_production, n_canary, p_once, _anytime_p_value(share, n_production, n_canary))


def _anytime_p_value(share: float, n_production: int, n_canary: int) -> float:
    """The chance that people divided by this share ever look as badly divided as these do, looked at after each.

    Source: Lindon and Malek, Anytime-Valid Inference for Multinomial Count Data, NeurIPS 2022.
    """
    a, b = PRIOR_PEOPLE * share, PRIOR_PEOPLE * (1 - share)
    log_against = betaln(a + n_canary, b + n_production) - betaln(a, b)
    log_for = n_canary * log(share) + n_production * log(1 - share)
    return min(1.0, exp(min(0.0, float(log_for - log_against))))


def _sums_by_period(cells: Cells, values: PerCell, n_periods: int) -> PerCell:
    """(2, n_periods): sums over the cells of each arm and period."""
    sums: PerCell = np.bincount(cells.arm * n_periods + cells.period, values, 2 * n_periods).astype(np.float64)
    return sums.reshape(2, n_periods)


def _sums_per_person(person: npt.NDArray[Any], values: PerCell) -> PerCell:
    """Sums over the cells of each person, which stand together."""
    if not len(person):
        return values
    starts = np.flatnonzero(np.concatenate([[True], person[1:] != person[:-1]]))
    sums: PerCell = np.add.reduceat(values, starts)
    return sums


def _interval_around(value: float, half_width: float) -> Interval:
    return Interval(value, value - half_width, value + half_width)
