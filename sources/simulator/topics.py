"""How common each topic is, and what circumstances add to it: device, day part, entry page and season."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sources.simulator.random_streams import Stream, stream
from sources.simulator.words import N_TOPICS
from sources.simulator.world_spec import DAY_PARTS, DEVICES, ENTRY_PAGES, WorldSpec

SEASONS_DAYS = 365.25  # a year of seasons, not contracts.calendar's: that would change every byte simulated so far

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Topics:
    """shares: (n_topics,) how common each is, sums to 1; by_device, by_day_part, by_entry_page: (n_values, n_topics)
    logits; season_phase: (n_topics,) the day of the year, as a share of it, on which a topic is wanted most."""

    shares: Floats
    by_device: Floats
    by_day_part: Floats
    by_entry_page: Floats
    season_phase: Floats
    season_weight: float

    @classmethod
    def draw(cls, spec: WorldSpec) -> Topics:
        """The topics of a world."""
        rng, nature = stream(spec.seed, Stream.TOPICS), spec.nature
        shares = rng.dirichlet(np.full(N_TOPICS, 6.0))

        def added(values: tuple[str, ...]) -> Floats:
            return _floats(rng.normal(0, nature.context_weight, (len(values), N_TOPICS)))

        return cls(
            shares=_floats(shares),
            by_device=added(DEVICES),
            by_day_part=added(DAY_PARTS),
            by_entry_page=added(ENTRY_PAGES),
            season_phase=_floats(rng.random(N_TOPICS)),
            season_weight=nature.season_weight,
        )

    def season(self, day: int) -> Floats:
        """(n_topics,) what the season adds to each topic on a day, in logits."""
        angle = 2 * np.pi * (day / SEASONS_DAYS - self.season_phase)
        return np.asarray(self.season_weight * np.cos(angle), np.float32)

    def circumstances(
        self, device: npt.NDArray[np.integer], day_part: npt.NDArray[np.integer], entry_page: npt.NDArray[np.integer]
    ) -> Floats:
        """(n, n_topics) what each visit's circumstances add to each topic, in logits."""
        added = self.by_device[device] + self.by_day_part[day_part] + self.by_entry_page[entry_page]
        return np.asarray(added, np.float32)


def _floats(values: npt.NDArray[np.float64]) -> Floats:
    return values.astype(np.float32)
