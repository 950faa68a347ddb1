"""How much is known of a person, and what follows from it: who proposes, and who puts the candidates in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from contracts.ids import FloatArray
from contracts.slates import Surface, Tier
from recommender.candidates import CandidateSet
from recommender.generators.base import Generator
from recommender.generators.popular import FILLER
from recommender.query import RetrievalQuery

# What keeps one first place from outweighing two second ones; the value of the paper named below.
FUSION_CONSTANT: Final = 60
# A filler comes after everything that was proposed for a reason: its first place is worth less than any other's last.
FILLER_WEIGHT: Final = 1e-4


class Scorer(StrEnum):
    """Who puts the candidates in order."""

    RANKER = "ranker"
    FUSION = "fusion"


@dataclass(frozen=True)
class TierPlan:
    """How a tier is served. weights: of the generators that propose, in the fusion of their ranks.

    None: all of them propose, as many as the quotas say, and weigh alike. is_filled: the generator FILLER proposes a
    whole slate at least, for there is a filter, and of what the others know too little may pass it.
    """

    scorer: Scorer
    weights: Mapping[str, float] | None = None
    is_filled: bool = False

    @property
    def filled(self) -> TierPlan:
        """This plan where there is a filter."""
        weights = None if self.weights is None else {FILLER: FILLER_WEIGHT**2, **self.weights}
        return replace(self, weights=weights, is_filled=True)


_RANKED: Final = TierPlan(Scorer.RANKER)
_ANCHORED: Final = TierPlan(
    Scorer.FUSION, {"covisitation": 1.0, "als": 0.5, "content": 0.5, "popular_recent": FILLER_WEIGHT}
)
_PLANS: Final[Mapping[Tier, TierPlan]] = {
    Tier.PERSONAL: _RANKED,
    Tier.SESSION: _RANKED,
    Tier.ONBOARDED: TierPlan(
        Scorer.FUSION,
        {"content": 1.0, "covisitation": 1.0, "als": 0.5, "popular_recent": 0.5, "popular": FILLER_WEIGHT},
    ),
    # The fillers are for circumstances that nobody was seen in: what is popular of late, then anything.
    Tier.CONTEXTUAL: TierPlan(
        Scorer.FUSION, {"popular_segment": 1.0, "popular_recent": FILLER_WEIGHT, "popular": FILLER_WEIGHT**2}
    ),
    Tier.POPULAR: TierPlan(Scorer.FUSION, {"popular_recent": 1.0, "popular": FILLER_WEIGHT}),
}
_FILLED_ANCHORED: Final = _ANCHORED.filled
_FILLED_PLANS: Final[Mapping[Tier, TierPlan]] = {tier: plan.filled for tier, plan in _PLANS.items()}


def identify_tier(query: RetrievalQuery, *, has_account: bool, personal_min_events: int) -> Tier:
    """The best tier that what is known allows: deeds before statements, statements before circumstances.

    has_account: False for an anonymous visitor, whose clicks make a session however many they are.
    """
    if has_account and len(query.history) >= personal_min_events:
        return Tier.PERSONAL
    if len(query.history):
        return Tier.SESSION
    if query.preferred_categories.any() or len(query.preferred_items):
        return Tier.ONBOARDED
    return Tier.CONTEXTUAL if query.segment else Tier.POPULAR


def plan_for(tier: Tier, surface: Surface, *, filtered: bool = False) -> TierPlan:
    """How this tier is served on this surface; beside an item, what goes with it outweighs who looks at it."""
    if surface is Surface.ITEM:
        return _FILLED_ANCHORED if filtered else _ANCHORED
    return (_FILLED_PLANS if filtered else _PLANS)[tier]


def plan_quotas(plan: TierPlan, quotas: Mapping[str, int], k: int) -> dict[str, int]:
    """How many candidates each generator is asked for: its quota, and at least k where the plan names it, or fills."""
    if plan.weights is None:
        wanted = dict(quotas)
    else:
        wanted = {name: max(quotas[name], k) for name in plan.weights if name in quotas}
    return wanted | {FILLER: max(quotas.get(FILLER, 0), k)} if plan.is_filled else wanted


def plan_generators(plan: TierPlan, generators: Mapping[str, Generator]) -> dict[str, Generator]:
    """The generators that take part: all of them where the ranker wants every one's score, else those that propose."""
    if plan.weights is None:
        return dict(generators)
    return {name: generator for name, generator in generators.items() if name in plan.weights}


@dataclass(frozen=True)
class FusedRanks:
    """scores: (n,) higher is better; sources: (n,) column of the generator that did most for each candidate."""

    scores: FloatArray
    sources: npt.NDArray[np.int32]


def fuse_by_rank(candidates: CandidateSet, weights: Mapping[str, float] | None) -> FusedRanks:
    """Weighted reciprocal rank fusion of what the generators proposed; without weights all weigh 1.

    Source: Cormack, Clarke and Buettcher, SIGIR 2009.
    """
    weight = [1.0 if weights is None else weights.get(name, 0.0) for name in candidates.names]
    points = np.where(candidates.proposed, np.array(weight) / (FUSION_CONSTANT + candidates.ranks), 0.0)
    if not points.size:
        return FusedRanks(np.empty(0, np.float32), np.empty(0, np.int32))
    return FusedRanks(points.sum(axis=1).astype(np.float32), points.argmax(axis=1).astype(np.int32))
