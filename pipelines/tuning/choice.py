"""Whether what was found is better, by the rule that every default is chosen by (docs/adr/0033)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2
from typing import Any, Final

from contracts.settings.settings import Settings
from pipelines.rolling.figures import gains_of
from pipelines.rolling.judgement import Comparer
from pipelines.tuning.search_space import Overrides
from recommender.judging.windows import OverWindows
from release.evaluation.cases import WARM

AS_GOOD: Final = 0.002  # of two that are so close, the cheaper one


@dataclass(frozen=True)
class Finalist:
    """One set of parameters that was judged with every seed. gains: by group, over the parameters as they are."""

    name: str
    overrides: Overrides
    gains: Mapping[str, OverWindows]
    cost: float
    n_windows: int

    @property
    def gain(self) -> OverWindows:
        """Of people with a history."""
        return self.gains[WARM]

    def objections(self) -> list[str]:
        """Why it is no winner; empty where it is one."""
        told = []
        if self.gain.over_people.low <= 0:
            told.append("its paired interval over people is not wholly above 0")
        if 2 * self.gain.n_ahead <= self.n_windows:
            told.append(f"it is ahead in {self.gain.n_ahead} of {self.n_windows} windows, not in most")
        worse = [group for group, gain in self.gains.items() if group != WARM and gain.over_people.high < 0]
        return told + [f"it is worse for the group {group}" for group in worse]


def finalists(
    comparer: Comparer, tried: Mapping[str, tuple[Overrides, Settings]], metric: str, n_windows: int
) -> list[Finalist]:
    """Each set of parameters beside those of the file, in the order given."""
    return [
        Finalist(
            name,
            overrides,
            {group: comparer.gain_of(name, metric, group) for group in comparer.groups()},
            request_cost(settings),
            n_windows,
        )
        for name, (overrides, settings) in tried.items()
    ]


def winner_among(judged: Sequence[Finalist]) -> Finalist | None:
    """The best of those that nothing speaks against; of those within AS_GOOD of it, the cheapest."""
    passed = [one for one in judged if not one.objections()]
    if not passed:
        return None
    best = max(one.gain.mean for one in passed)
    return min((one for one in passed if one.gain.mean >= best - AS_GOOD), key=lambda one: (one.cost, -one.gain.mean))


def request_cost(settings: Settings) -> float:
    """What ranking one request takes at most, in decisions: candidates x trees x the depth of a balanced tree."""
    silent = () if settings.request.segments_of_people else ("popular_segment",)  # to people with a history
    asked = sum(quota for name, quota in settings.request.quotas.items() if name not in silent)
    n_candidates = min(asked, settings.request.n_ranked)
    return n_candidates * settings.ranking.n_trees * log2(settings.ranking.n_leaves)


def finalist_json(one: Finalist, comparer: Comparer, metrics: Sequence[str]) -> dict[str, Any]:
    """Everything that is told of a finalist."""
    return {
        "name": one.name,
        "overrides": dict(one.overrides),
        "gain": gains_of(comparer, one.name, metrics),
        "cost": one.cost,
        "objections": one.objections(),
    }
