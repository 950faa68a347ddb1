"""What the generators said of an item, all together; what each one said stands beside it in the ranker's input."""

from __future__ import annotations

import numpy as np

from contracts.features import OWNER
from contracts.ids import FloatArray
from contracts.on_demand import OnDemandView
from recommender.on_demand.inputs import OnDemandInputs

RANK_BEST = "pair_rank_best"


def _best_rank(inputs: OnDemandInputs) -> dict[str, FloatArray]:
    candidates = inputs.candidates
    proposed = np.where(candidates.proposed, candidates.ranks, np.inf)
    return {RANK_BEST: proposed.min(axis=1, initial=np.inf)}


VIEWS = (
    OnDemandView(
        name="pair_rank",
        entity="user-item",
        window="what the generators propose at the request",
        owner=OWNER,
        description="How well the generators placed an item.",
        features={RANK_BEST: "its best rank among those who proposed it; 1 is first"},
        compute=_best_rank,
    ),
)
