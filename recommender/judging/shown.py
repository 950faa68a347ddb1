"""What slates show, whether it was wanted or not: one value for each slate, or one for all of them.

shown: the items of each slate that the judge knows, as many as are looked at, in any order.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from contracts.ids import FloatArray
from recommender.judging.intervals import PerPerson
from recommender.ragged import RaggedItems

# Of the history in what a slate is held against: it keeps the divergence finite. The value of the paper named below.
SMOOTHING: Final = 0.01


def novelty(shown: RaggedItems, popularity: FloatArray) -> PerPerson:
    """Mean surprise of the items shown, in bits: -log2 of the share of people who knew the item; 0 for no slate.

    popularity: (n_items,) shares in 0 to 1; an item nobody knew counts as one that one in a million did.
    Source: Zhou et al., PNAS 2010.
    """
    return _mean_of(shown, -np.log2(np.maximum(popularity, 1e-6)))


def intra_list_diversity(shown: RaggedItems, vectors: FloatArray) -> PerPerson:
    """Mean of 1 - cosine over the pairs of the slate; 0 for fewer than two items.

    vectors: (n_items, dim), rows of unit length, or zero for an item that is like none.
    Source: Ziegler et al., WWW 2005.
    """
    # The pairs' cosines add up to the square of the sum of the vectors, less that of each with itself.
    total = _touched(shown, len(vectors)) @ vectors
    own = np.einsum("ij,ij->i", vectors, vectors)
    alike = np.einsum("ij,ij->i", total, total) - np.bincount(shown.rows, own[shown.item_idx], len(shown))
    n_pairs = shown.lengths * (shown.lengths - 1)
    likeness = np.divide(alike, n_pairs, out=np.ones(len(shown)), where=n_pairs > 0)
    return np.asarray(1 - likeness, np.float64)


def most_popular(popularity: FloatArray, share: float) -> npt.NDArray[np.bool_]:
    """(n_items,) True for this share of the catalogue, one item at least: those that most people knew.

    Of equally popular items the first ones count.
    """
    return popularity_ranks(popularity) <= max(1, round(share * len(popularity)))


def popularity_ranks(popularity: FloatArray) -> npt.NDArray[np.int64]:
    """(n_items,) 1 for the item that most people knew; equally popular ones in their order."""
    ranks = np.empty(len(popularity), np.int64)
    ranks[np.argsort(-popularity, kind="stable")] = np.arange(1, len(popularity) + 1)
    return ranks


def popularity_share(shown: RaggedItems, popular: npt.NDArray[np.bool_]) -> PerPerson:
    """The share of the slate's positions that popular items take; 0 for no slate. popular: (n_items,)."""
    return _mean_of(shown, popular.astype(np.float64))


def miscalibration(shown: RaggedItems, histories: RaggedItems, category_shares: FloatArray) -> PerPerson:
    """How far the categories of a slate are from those of the person's history, in nats: 0 is as the history.

    category_shares: (n_items, n_categories) how an item is divided among its categories; rows of sum 1, or of 0.
    NaN where the history or the slate has no category. It is KL(history || slate), every item weighing alike, after
    SMOOTHING of the history was mixed into the slate.
    Source: Steck, Calibrated recommendations, RecSys 2018, eq. 6 and 7.
    """
    wanted, offered = (_category_mix(items, category_shares) for items in (histories, shown))
    smoothed = (1 - SMOOTHING) * offered + SMOOTHING * wanted
    terms = np.zeros_like(wanted)
    there = wanted > 0
    terms[there] = wanted[there] * np.log(wanted[there] / smoothed[there])
    is_known = (wanted.sum(axis=1) > 0) & (offered.sum(axis=1) > 0)
    return np.where(is_known, terms.sum(axis=1), np.nan)


def exposure(shown: RaggedItems, n_items: int) -> npt.NDArray[np.int64]:
    """(n_items,) in how many slates each item stands."""
    counts: npt.NDArray[np.int64] = np.bincount(shown.item_idx, minlength=n_items)
    return counts


def coverage(exposed: npt.NDArray[np.int64]) -> float:
    """The share of the catalogue that is shown to anybody at all. exposed: (n_items,) of `exposure`."""
    return float((exposed > 0).mean()) if len(exposed) else 0.0


def gini(exposed: npt.NDArray[np.int64]) -> float:
    """How unequally the positions are divided among the items: 0 where all are shown alike, near 1 where one has all.

    exposed: (n_items,) of `exposure`, items never shown included; 0 where nothing is shown.
    Source: Fleder and Hosanagar, Management Science 2009, for recommendations; the coefficient is Gini's of 1912.
    """
    total, n_items = exposed.sum(), len(exposed)
    if not total:
        return 0.0
    ranks = np.arange(1, n_items + 1)
    return float(((2 * ranks - n_items - 1) * np.sort(exposed)).sum() / (n_items * total))


def _mean_of(shown: RaggedItems, values: npt.NDArray[np.floating]) -> PerPerson:
    sums = np.bincount(shown.rows, values[shown.item_idx], len(shown))
    means: PerPerson = np.divide(sums, shown.lengths, out=np.zeros(len(shown)), where=shown.lengths > 0)
    return means


def _category_mix(items: RaggedItems, category_shares: FloatArray) -> npt.NDArray[np.float64]:
    """(n_rows, n_categories) of sum 1: how each row's items are divided among categories; zeros where none has any."""
    totals = np.asarray(_touched(items, len(category_shares)) @ category_shares, np.float64)
    sums = totals.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(totals, sums, out=np.zeros_like(totals), where=sums > 0))


def _touched(items: RaggedItems, n_items: int) -> csr_matrix:
    """(n_rows, n_items) how often each row has each item."""
    ones = np.ones(len(items.item_idx), np.float32)
    return csr_matrix((ones, items.item_idx, items.offsets), shape=(len(items), n_items))
