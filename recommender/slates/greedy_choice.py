"""Greedy slates: each next item is the one that adds most, by one of three methods.

The candidates come best first, by their relevance; strength is how much else counts: 0 keeps their order, 1 looks at
nothing but the rest. What is chosen is (min(k, n),) places among the candidates, in the order of their positions in
the slate; of equal gains the earlier place. The first k of a longer slate are the slate of k.
"""

from __future__ import annotations

from math import log, sqrt
from typing import Final

import numpy as np
import numpy.typing as npt
from numba import types

from contracts.ids import FloatArray, ItemIdxArray
from recommender.compiled import COUNTS, INDICES, NUMBER, SUMS, SUMS_TABLE, compiled
from recommender.item_categories import CategoryIdx
from recommender.judging.shown import SMOOTHING
from recommender.ragged import Offsets

Numbers = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

REAL: Final = types.float64
# Of each item's vector, what it shares with no other: candidates with one and the same vector remain a choice.
OWN_SHARE: Final = 0.01
LEAST_LEFT: Final = 1e-9  # keeps a logarithm finite where rounding has eaten the rest


def likeness_of(vectors: FloatArray) -> Numbers:
    """(n, n) the cosines of vectors of unit length, or zero for one that is like none; vectors: (n, dim)."""
    return _inner_products(np.ascontiguousarray(vectors.T, np.float64))


@compiled(SUMS_TABLE)
def _inner_products(columns: Numbers) -> Numbers:  # pragma: no cover - compiled
    """(n, n) of the columns of (dim, n); each is added up in the order of the dimensions."""
    dim, n = columns.shape
    products = np.empty((n, n))
    for item in range(n):
        sums = np.zeros(n)  # several of them at once: the processor's wide registers change no sum's order
        for axis in range(dim):
            weight = columns[axis, item]
            for other in range(n):
                sums[other] += weight * columns[axis, other]
        for other in range(n):
            products[item, other] = sums[other]
    return products


@compiled(SUMS_TABLE, SUMS, NUMBER, REAL)
def by_marginal_relevance(
    likeness: Numbers, relevance: Numbers, k: int, strength: float
) -> Places:  # pragma: no cover - compiled
    """Maximal marginal relevance: (1 - strength) * relevance - strength * likeness to the most alike one chosen.

    likeness: (n, n) of `likeness_of`, below 0 it counts as 0; relevance: (n,) descending.
    Source: Carbonell and Goldstein, SIGIR 1998, eq. 1.
    """
    n = len(relevance)
    chosen = np.empty(min(k, n), np.int64)
    nearest, is_chosen = np.zeros(n), np.zeros(n, np.bool_)
    for place in range(len(chosen)):
        best, most = -1, -np.inf
        for item in range(n):
            gain = (1 - strength) * relevance[item] - strength * nearest[item]
            if not is_chosen[item] and gain > most:
                best, most = item, gain
        chosen[place] = best
        is_chosen[best] = True
        for item in range(n):
            nearest[item] = max(nearest[item], likeness[best, item])
    return chosen


@compiled(SUMS_TABLE, SUMS, NUMBER, REAL)
def by_determinant(
    likeness: Numbers, relevance: Numbers, k: int, strength: float
) -> Places:  # pragma: no cover - compiled
    """The most probable set of a determinantal point process, found greedily: relevant items that span much.

    An item's gain is (1 - strength) * relevance + strength * log(what of its vector the chosen ones do not span).
    likeness: (n, n) of `likeness_of`, of which OWN_SHARE is each item's own; relevance: (n,) descending.
    Source: Chen, Zhang and Zhou, NeurIPS 2018, algorithm 1 and eq. 9 to 11; left is d^2, spanned is c.
    """
    n = len(relevance)
    chosen = np.empty(min(k, n), np.int64)
    left, is_chosen = np.ones(n), np.zeros(n, np.bool_)
    spanned = np.zeros((len(chosen), n))
    for place in range(len(chosen)):
        best, most = -1, -np.inf
        for item in range(n):
            gain = (1 - strength) * relevance[item] + strength * log(left[item])
            if not is_chosen[item] and gain > most:
                best, most = item, gain
        chosen[place] = best
        is_chosen[best] = True
        for item in range(n):
            spanned[place, item] = (1 - OWN_SHARE) * likeness[best, item]
        for earlier in range(place):
            weight = spanned[earlier, best]
            for item in range(n):
                spanned[place, item] -= weight * spanned[earlier, item]
        root = sqrt(left[best])
        for item in range(n):
            spanned[place, item] /= root
            left[item] = max(left[item] - spanned[place, item] * spanned[place, item], LEAST_LEFT)
    return chosen


@compiled(COUNTS, INDICES, INDICES, SUMS, SUMS, NUMBER, REAL)
def by_calibration(
    category_offsets: Offsets,
    category_idx: CategoryIdx,
    item_idx: ItemIdxArray,
    wanted: Numbers,
    relevance: Numbers,
    k: int,
    strength: float,
) -> Places:  # pragma: no cover - compiled
    """A slate divided among categories as a person's history is.

    An item's gain is (1 - strength) * relevance - strength * KL(wanted || the slate with it), after SMOOTHING of
    `wanted` was mixed into the slate's categories; an item is divided evenly among its own.
    category_offsets, category_idx: as of a Catalogue; item_idx, relevance: (n,) the candidates, relevance descending.
    wanted: (n_categories,) of sum 1.
    Source: Steck, Calibrated recommendations, RecSys 2018, eq. 4 to 7.
    """
    n, n_categories = len(relevance), len(wanted)
    chosen, n_with_categories = np.empty(min(k, n), np.int64), 0
    offered, is_chosen = np.zeros(n_categories), np.zeros(n, np.bool_)
    for place in range(len(chosen)):
        # The sum over categories of wanted * log(slate): KL but for a constant, and its sign.
        scale, fit, fit_without = (1 - SMOOTHING) / (n_with_categories + 1), 0.0, 0.0
        logs = np.zeros(n_categories)
        for category in range(n_categories):
            if wanted[category] > 0:
                logs[category] = log(scale * offered[category] + SMOOTHING * wanted[category])
                fit += wanted[category] * logs[category]
                so_far = (1 - SMOOTHING) * offered[category] / max(n_with_categories, 1)
                fit_without += wanted[category] * log(so_far + SMOOTHING * wanted[category])
        best, most = -1, -np.inf
        for item in range(n):
            if is_chosen[item]:
                continue
            first, end = category_offsets[item_idx[item]], category_offsets[item_idx[item] + 1]
            its_fit = fit if end > first else fit_without
            for entry in range(first, end):
                category = category_idx[entry]
                if wanted[category] > 0:
                    grown = scale * (offered[category] + 1 / (end - first)) + SMOOTHING * wanted[category]
                    its_fit += wanted[category] * (log(grown) - logs[category])
            gain = (1 - strength) * relevance[item] + strength * its_fit
            if gain > most:
                best, most = item, gain
        chosen[place] = best
        is_chosen[best] = True
        first, end = category_offsets[item_idx[best]], category_offsets[item_idx[best] + 1]
        n_with_categories += int(end > first)
        for entry in range(first, end):
            offered[category_idx[entry]] += 1 / (end - first)
    return chosen
