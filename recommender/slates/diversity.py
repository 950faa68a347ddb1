"""The diversity of `request.relevance_weight`: one constant, over categories, without a budget.

Releases from before `request.diversity` stand on it, to the last bit; `greedy_choice` is several times as fast, adds
up in another order, and may break a tie otherwise.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from contracts.errors import ShapeMismatch
from contracts.ids import FloatArray
from recommender.slates.relevance import scaled_relevance


def maximal_marginal_relevance(
    scores: FloatArray, vectors: FloatArray, k: int, relevance_weight: float
) -> npt.NDArray[np.intp]:
    """Order items so that each next one is relevant and unlike those already chosen.

    scores: (n_items,) higher is better; they are scaled to 0..1, so that their unit does not matter.
    vectors: (n_items, dim), unit length or zero, rows aligned with scores.
    relevance_weight: 1 keeps the score order, 0 ignores it after the first item.
    Returns (k,) positions in scores, best first; all of them where k exceeds n_items. Ties: the earlier position.
    Raises ShapeMismatch when rows disagree.
    Source: Carbonell and Goldstein, SIGIR 1998, eq. 1.
    """
    if vectors.ndim != 2 or len(vectors) != len(scores):
        raise ShapeMismatch(
            f"{len(scores)} scores came with vectors of shape {vectors.shape}.",
            "Give one vector per scored item, in the same order.",
        )
    relevance = scaled_relevance(scores)
    likeness = np.zeros(len(scores), np.float64)
    chosen: list[int] = []
    for _ in range(min(k, len(scores))):
        gain = relevance_weight * relevance - (1 - relevance_weight) * likeness
        # The first is chosen by relevance alone: it is unlike nothing yet.
        gain = gain if chosen else relevance.copy()
        gain[chosen] = -np.inf
        best = int(np.argmax(gain))
        chosen.append(best)
        likeness = np.maximum(likeness, vectors @ vectors[best])
    return np.array(chosen, np.intp)
