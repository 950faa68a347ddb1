"""What circumstances do to topics: how common each is, and what device, day part and season add to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sources.simulator.draws import Stream, stream
from sources.simulator.nature import DAY_PARTS, DEVICES, Spec
from sources.simulator.words import N_TOPICS

DAYS_PER_YEAR = 365.25

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Topics:
    """shares: (n_topics,) how common each is, sums to 1; by_device, by_day_part: (n_values, n_topics) logits;
    season_phase: (n_topics,) the day of the year, as a share of it, on which a topic is wanted most."""

    shares: Floats
    by_device: Floats
    by_day_part: Floats
    season_phase: Floats
    season_weight: float

    @classmethod
    def draw(cls, spec: Spec) -> Topics:
        """The topics of a world."""
        rng, nature = stream(spec.seed, Stream.TOPICS), spec.nature
        shares = rng.dirichlet(np.full(N_TOPICS, 6.0))
        by_device = rng.normal(0, nature.context_weight, (len(DEVICES), N_TOPICS))
        by_day_part = rng.normal(0, nature.context_weight, (len(DAY_PARTS), N_TOPICS))
        phases = rng.random(N_TOPICS)
        return cls(_floats(shares), _floats(by_device), _floats(by_day_part), _floats(phases), nature.season_weight)

    def season(self, day: int) -> Floats:
        """(n_topics,) what the season adds to each topic on a day, in logits."""
        angle = 2 * np.pi * (day / DAYS_PER_YEAR - self.season_phase)
        return np.asarray(self.season_weight * np.cos(angle), np.float32)


def _floats(values: npt.NDArray[np.float64]) -> Floats:
    return values.astype(np.float32)
