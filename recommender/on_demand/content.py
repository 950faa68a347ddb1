"""How like an item's title and text are to those of what a person touched.

The vectors themselves are not given to the ranker: it would learn a dozen numbers without a meaning by heart.
"""

from __future__ import annotations

import numpy as np

from contracts.ids import FloatArray, ItemIdxArray
from contracts.on_demand import OnDemandView
from recommender.content_vectors import DIM
from recommender.on_demand.inputs import LATEST, OWNER, OnDemandInputs


def _similarity(inputs: OnDemandInputs) -> dict[str, FloatArray]:
    vectors, candidates = inputs.catalogue.content, _candidate_vectors(inputs)
    return {
        "pair_content_similarity_all": candidates @ _direction(vectors, inputs.taste_items),
        "pair_content_similarity_latest": candidates @ _direction(vectors, inputs.latest_items),
        "pair_content_similarity_last": candidates @ _direction(vectors, inputs.taste_items[-1:]),
    }


def _candidate_vectors(inputs: OnDemandInputs) -> FloatArray:
    """(n_candidates, DIM) their vectors, NaN where title and text say nothing."""
    vectors = inputs.catalogue.content[inputs.candidates.item_idx]
    return np.where(vectors.any(axis=1, keepdims=True), vectors, np.float32(np.nan))


def _direction(vectors: FloatArray, items: ItemIdxArray) -> FloatArray:
    """(DIM,) of unit length, where these items point together; NaN where none of them says anything."""
    total = vectors[items].sum(axis=0)
    length = np.linalg.norm(total)
    return total / length if length > 0 else np.full(DIM, np.nan, np.float32)


VIEWS = (
    OnDemandView(
        name="pair_content_similarity",
        entity="user-item",
        window=f"all the history at hand; the latest {LATEST} items; the last one",
        owner=OWNER,
        description=(
            "How like an item's title and text are to those of what the person touched: the cosine between its content "
            "vector and the mean of theirs."
        ),
        features={
            "pair_content_similarity_all": "to everything",
            "pair_content_similarity_latest": "to the latest items",
            "pair_content_similarity_last": "to the last item",
        },
        compute=_similarity,
    ),
)
