"""Exact search that ends early: the longest vectors are looked at first.

An inner product is at most the product of the two lengths (Cauchy and Schwarz). Once the k best of the longest vectors
are known, no vector can be among the best that is shorter than the worst of these k divided by the question's length.
Where lengths are as uneven as those of ALS, few of a million vectors are left to look at.

Source: Teflioudi, Gemulla and Mykytiuk, "LEMP: Fast Retrieval of Large Entries in a Matrix Product", SIGMOD 2015.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from contracts.ids import FloatArray

Found = tuple[FloatArray, npt.NDArray[np.int64]]  # (n_queries, k) scores, and what they are the scores of
# What a search among the first so many vectors finds: questions, k, how many.
Look = Callable[[FloatArray, int, int], Found]

FIRST_LOOKED_AT: Final = 4096  # vectors: a tenth of a millisecond
ROUNDING: Final = 1e-5  # of an inner product of 32-bit numbers, by the product of the lengths


def lengths_of(vectors: FloatArray) -> FloatArray:
    """(n,) the length of each of the vectors, (n, dim)."""
    lengths: FloatArray = np.sqrt(np.square(vectors, dtype=np.float64).sum(axis=1)).astype(np.float32)
    return lengths


def nearest_by_length(queries: FloatArray, k: int, shortness: FloatArray, look: Look) -> Found:
    """What `look` finds for each question, (n_queries, dim), among so many vectors that the k best are among them.

    shortness: (n_vectors,) ascending, the lengths with a minus of the vectors that `look` looks at in this order.
    k: n_vectors at most.
    """
    first = min(max(FIRST_LOOKED_AT, k), len(shortness))
    scores, found = look(queries, k, first)
    n_wanted = n_looked_at(queries, scores[:, -1], shortness, first)
    for n in np.unique(n_wanted[n_wanted > first]).tolist():
        rows = n_wanted == n
        scores[rows], found[rows] = look(queries[rows], k, n)
    return scores, found


def n_looked_at(
    queries: FloatArray, worst: FloatArray, shortness: FloatArray, first: int = FIRST_LOOKED_AT
) -> npt.NDArray[np.int64]:
    """(n_queries,) how many of the longest vectors hold the best, or `first` where that is more; powers of two above.

    worst: (n_queries,) the smallest score of the k best of the first vectors.
    """
    least_length = worst / np.maximum(lengths_of(queries) * (1 + ROUNDING), np.finfo(np.float32).tiny)
    n_longer = np.searchsorted(shortness, -least_length, side="right")
    rounded = np.exp2(np.ceil(np.log2(np.maximum(n_longer, 1)))).astype(np.int64)
    return np.where(n_longer <= first, first, np.minimum(rounded, len(shortness)))
