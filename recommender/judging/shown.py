"""What slates show, whether it was wanted or not: one value for each slate, or one for all of them.

shown: the items of each slate that the judge knows, as many as are looked at, in any order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from contracts.ids import FloatArray
from recommender.judging.intervals import PerPerson
from recommender.ragged import RaggedItems

# Of the history in what a slate is held against: it keeps the divergence finite. The value of the paper named below.
SMOOTHING: Final = 0.01
DENSE_CELLS: Final = 2**22  # held at once: 16 MiB


def novelty(shown: RaggedItems, popularity: FloatArray) -> PerPerson:
    """Mean surprise of the items shown, in bits: -log2 of the share of people who knew the item; 0 for no slate.

    popularity: (n_items,) shares in 0 to 1; an item nobody knew counts as one that one in a million did.
    Source: Zhou et al., PNAS 2010.
    """
    return _mean_of(shown, -np.log2(np.maximum(popularity, 1e-6)))


def intra_list_diversity(shown: RaggedItems, vectors: csr_matrix) -> PerPerson:
    """Mean of 1 - cosine over the pairs of the slate; 0 for fewer than two items.

    vectors: (n_items, dim), rows of unit length, or zero for an item that is like none.
    Source: Ziegler et al., WWW 2005.
    """
    # The pairs' cosines add up to the square of the sum of the vectors, less that of each with itself.
    total = _squared_lengths(_touched(shown, vectors.shape[0]) @ vectors)
    items, places = np.unique(shown.item_idx, return_inverse=True)
    own = _squared_lengths(vectors[items])
    alike = total - np.bincount(shown.rows, own[places], len(shown))
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


def miscalibration(shown: RaggedItems, histories: RaggedItems, category_shares: csr_matrix) -> PerPerson:
    """How far the categories of a slate are from those of the person's history, in nats: 0 is as the history.

    category_shares: (n_items, n_categories) how an item is divided among its categories; rows of sum 1, or of 0.
    NaN where the history or the slate has no category. It is KL(history || slate), every item weighing alike, after
    SMOOTHING of the history was mixed into the slate.
    Source: Steck, Calibrated recommendations, RecSys 2018, eq. 6 and 7.
    """
    wanted, offered = (_touched(items, category_shares.shape[0]) @ category_shares for items in (histories, shown))
    blocks = zip(_dense_blocks(wanted), _dense_blocks(offered), strict=True)
    return np.concatenate([np.empty(0), *(_divergence(_mix(wants), _mix(offers)) for wants, offers in blocks)])


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


def _divergence(wanted: npt.NDArray[np.float64], offered: npt.NDArray[np.float64]) -> PerPerson:
    """KL(wanted || offered) of each row, after SMOOTHING; NaN where one of them has no category."""
    smoothed = (1 - SMOOTHING) * offered + SMOOTHING * wanted
    terms = np.zeros_like(wanted)
    there = wanted > 0
    terms[there] = wanted[there] * np.log(wanted[there] / smoothed[there])
    is_known = (wanted.sum(axis=1) > 0) & (offered.sum(axis=1) > 0)
    return np.where(is_known, terms.sum(axis=1), np.nan)


def _mix(totals: FloatArray) -> npt.NDArray[np.float64]:
    """Rows of sum 1, of what each category has in the row; zeros where none has any."""
    exact = totals.astype(np.float64)
    sums = exact.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(exact, sums, out=np.zeros_like(exact), where=sums > 0))


def _squared_lengths(rows: csr_matrix) -> FloatArray:
    return np.concatenate(
        [np.empty(0, np.float32), *(np.einsum("ij,ij->i", block, block) for block in _dense_blocks(rows))]
    )


def _dense_blocks(rows: csr_matrix) -> Iterator[FloatArray]:
    """All rows, zeros and all, DENSE_CELLS at a time: what is summed along a row hangs on no other."""
    n_rows, dim = rows.shape
    at_once = max(1, DENSE_CELLS // max(1, dim))
    for start in range(0, n_rows, at_once):
        yield rows[start : start + at_once].toarray()


def _touched(items: RaggedItems, n_items: int) -> csr_matrix:
    """(n_rows, n_items) how often each row has each item."""
    ones = np.ones(len(items.item_idx), np.float32)
    return csr_matrix((ones, items.item_idx, items.offsets), shape=(len(items), n_items))
