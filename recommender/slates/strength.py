"""How much a slate should be diversified: a policy over what is known of the person and of the ranker's mind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from contracts.ids import FloatArray
from recommender.slates.relevance import Relevance


def narrowness(vectors: FloatArray) -> float | None:
    """How alike items are, 0 to 1: the mean cosine over their pairs; None for fewer than two items.

    vectors: (n, dim), unit length, or zero for an item that is like none.
    """
    n = len(vectors)
    if n < 2:
        return None
    exact = vectors.astype(np.float64)
    total = exact.sum(axis=0)
    alike = float((total * total).sum() - (exact * exact).sum())
    return float(np.clip(alike / (n * (n - 1)), 0, 1))


def doubt(relevance: Relevance, k: int) -> float:
    """How unsure a ranker is of its first k items, 0 to 1: how relevant the next k are beside them.

    relevance: (n,) of `scaled_relevance`, descending. 1 where the next are as good, or none is better than another.

    >>> doubt(np.array([1.0, 0.5, 0.375, 0.0]), 2)
    0.25
    """
    first, following = relevance[:k], relevance[k : 2 * k]
    if not len(following):
        return 0.0
    return float(following.mean() / first.mean()) if first.any() else 1.0


def adapted_strength(strength: float, adaptive: float, signs: Sequence[float | None]) -> float:
    """The strength that is wished for, of which the share `adaptive` hangs on the mean of the signs, each 0 to 1.

    A sign of None is not known, and does not count. adaptive: 0 is the same strength for everybody.

    >>> adapted_strength(0.5, 0.5, [0.5, None, 1.0])
    0.4375
    """
    known = [sign for sign in signs if sign is not None]
    mean: np.floating | float = np.mean(known) if known else 1.0
    return strength * (1 - adaptive * (1 - float(mean)))
