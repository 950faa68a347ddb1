"""Means over several windows, and how sure they are: over people, and over windows as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contracts.errors import DataTooSmall
from recommender.judging.intervals import Interval, PerPerson, draw_people, interval_of


@dataclass(frozen=True)
class OverWindows:
    """A mean over windows, each of which weighs alike.

    by_window: the mean over the people of each. over_people: the interval if the same windows came again with other
    people; over_windows: if other windows came, too. Of few windows the second is too narrow: of n it sees (n - 1) / n
    of the variance between them.
    """

    by_window: tuple[float, ...]
    over_people: Interval
    over_windows: Interval

    @property
    def mean(self) -> float:
        return self.over_people.mean

    @property
    def n_ahead(self) -> int:
        """In how many windows the mean is above 0: of a difference, in how many the first one is ahead."""
        return sum(value > 0 for value in self.by_window)


def over_windows(
    windows: Sequence[tuple[Sequence[str], PerPerson]],
    rng: np.random.Generator,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> OverWindows:
    """The mean over windows of the mean over people.

    windows: of each, who was measured and their values, or differences.
    People are drawn with all that was measured of them: who is in several windows is one person. Raises DataTooSmall
    where a window has nobody.
    """
    if not windows or not all(len(people) for people, _ in windows):
        raise DataTooSmall(
            "A window has nobody to measure.", "Lower rolling.n_windows in params.yaml, or bring more data."
        )
    values, measured = _table_of(windows)
    means = values.sum(axis=1) / measured.sum(axis=1)
    drawn = draw_people(values.shape[1], rng, n_resamples)
    n_drawn = drawn @ measured.T
    # A window of which nobody was drawn keeps its mean: it is rare, and of a few people alone.
    resampled = np.where(n_drawn > 0, (drawn @ values.T) / np.maximum(n_drawn, 1), means)
    other_windows = rng.integers(0, len(windows), size=(n_resamples, len(windows)))
    with_other_windows = np.take_along_axis(resampled, other_windows, axis=1).mean(axis=1)
    mean = float(means.mean())
    return OverWindows(
        tuple(means.tolist()),
        interval_of(mean, resampled.mean(axis=1), level),
        interval_of(mean, with_other_windows, level),
    )


def _table_of(windows: Sequence[tuple[Sequence[str], PerPerson]]) -> tuple[PerPerson, npt.NDArray[np.float64]]:
    """(n_windows, n_people) the values, 0 where somebody was not measured; and 1 where they were."""
    column = {person: number for number, person in enumerate(sorted({one for people, _ in windows for one in people}))}
    values, measured = np.zeros((len(windows), len(column))), np.zeros((len(windows), len(column)))
    for row, (people, of_people) in enumerate(windows):
        at = [column[person] for person in people]
        values[row, at], measured[row, at] = of_people, 1
    return values, measured
