"""Intervals of means over people, and of paired differences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contracts.errors import DataTooSmall, ShapeMismatch

PerPerson = npt.NDArray[np.float64]
Drawn = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Interval:
    """A mean over people and the ends of its interval."""

    mean: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        return {"mean": self.mean, "low": self.low, "high": self.high}


def bootstrap_interval(
    values: PerPerson, rng: np.random.Generator, n_resamples: int = 1000, level: float = 0.95
) -> Interval:
    """Percentile bootstrap of the mean over people; raises DataTooSmall without anybody.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    if not len(values):
        raise DataTooSmall("There is nobody to measure.", "Bring more data, or lower features.train_share.")
    drawn = draw_people(len(values), rng, n_resamples)
    return interval_of(float(values.mean()), resampled_means(values, drawn), level)


def draw_people(n_people: int, rng: np.random.Generator, n_resamples: int) -> Drawn:
    """(n_resamples, n_people) how often each of the people is drawn when as many are drawn with replacement."""
    # How often instead of who: the same law, and a mean is one small matrix product.
    return rng.multinomial(n_people, np.full(n_people, 1 / n_people), size=n_resamples)


def resampled_means(values: PerPerson, drawn: Drawn) -> PerPerson:
    """(n_resamples,) the mean over the people drawn, each time."""
    means: PerPerson = drawn @ values / len(values)
    return means


def interval_of(mean: float, resampled: PerPerson, level: float = 0.95) -> Interval:
    """The mean between the quantiles of what resampling made of it."""
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean, float(low), float(high))


def paired_bootstrap(
    challenger: PerPerson,
    champion: PerPerson,
    rng: np.random.Generator,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> Interval:
    """The interval of the mean of `challenger - champion`, both measured on the same people in the same order.

    Raises ShapeMismatch when they are not as many.
    """
    if challenger.shape != champion.shape:
        raise ShapeMismatch(
            f"A paired comparison needs the same people: {len(challenger)} against {len(champion)}.",
            "Measure both on one list of people.",
        )
    return bootstrap_interval(challenger - champion, rng, n_resamples, level)
