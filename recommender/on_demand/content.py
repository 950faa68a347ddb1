"""How like an item's title and text are to those of what a person touched.

The vectors themselves are not given to the ranker: it would learn a dozen numbers without a meaning by heart.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from contracts.features import OWNER
from contracts.ids import FloatArray, ItemIdxArray
from contracts.on_demand import OnDemandView
from recommender.compiled import COUNTS, INDICES, VECTORS, compiled
from recommender.on_demand.inputs import LATEST, OnDemandInputs
from recommender.ragged import Offsets, RaggedItems, dot_by_row


def _similarity(inputs: OnDemandInputs) -> dict[str, FloatArray]:
    vectors, taste = inputs.catalogue.content, inputs.taste_items
    candidates, rows = _candidate_vectors(inputs), inputs.candidates.rows
    return {
        "pair_content_similarity_all": dot_by_row(candidates, _directions(vectors, taste)[rows]),
        "pair_content_similarity_latest": dot_by_row(candidates, _directions(vectors, inputs.latest_items)[rows]),
        "pair_content_similarity_last": dot_by_row(candidates, _directions(vectors, taste.latest(1))[rows]),
    }


def _candidate_vectors(inputs: OnDemandInputs) -> FloatArray:
    """(n_candidates, dim) their vectors, NaN where title and text say nothing."""
    vectors = inputs.catalogue.content[inputs.candidates.item_idx]
    return np.where(vectors.any(axis=1, keepdims=True), vectors, np.float32(np.nan))


def _directions(vectors: FloatArray, items: RaggedItems) -> FloatArray:
    """(n_queries, dim) of unit length, where each one's items point together; NaN where none of them says anything."""
    total = _sums(items.offsets, items.item_idx, vectors)
    length = np.sqrt((total * total).sum(axis=1, keepdims=True))
    return np.where(length > 0, total / np.where(length > 0, length, 1), np.nan).astype(np.float32)


@compiled(COUNTS, INDICES, VECTORS)
def _sums(
    offsets: Offsets, item_idx: ItemIdxArray, vectors: FloatArray
) -> npt.NDArray[np.float64]:  # pragma: no cover - compiled
    """(n_queries, dim) of the vectors of each one's items, added up in their order."""
    sums = np.zeros((len(offsets) - 1, vectors.shape[1]))
    for query in range(len(offsets) - 1):
        for at in range(offsets[query], offsets[query + 1]):
            for column in range(vectors.shape[1]):
                sums[query, column] += vectors[item_idx[at], column]
    return sums


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
