"""How well slates show what people then wanted: one value for each person.

slates: each person's items, best first; relevant: the items that they touched afterwards. `k` is the cut-off. Somebody
to whom nothing was relevant has the value 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contracts.ids import ItemIdxArray
from recommender.judging.intervals import PerPerson
from recommender.ragged import RaggedItems, Rows, is_among, offsets_of, places_of


@dataclass(frozen=True)
class Hits:
    """The relevant items that slates show, by slate and then by position.

    rows, positions, item_idx: (n_hits,) in which slate, where in it from 1, and which item.
    n_relevant: (n_slates,) how many items were relevant, shown or not.
    """

    rows: Rows
    positions: npt.NDArray[np.int64]
    item_idx: ItemIdxArray
    n_relevant: npt.NDArray[np.int64]

    @classmethod
    def of(cls, slates: RaggedItems, relevant: RaggedItems) -> Hits:
        """relevant: a row for each slate, each item once, in any order; an unknown item of a slate (-1) is no hit."""
        is_hit = is_among(slates.keys, np.sort(relevant.keys))  # the key of an unknown item is no relevant one's
        positions = places_of(slates.offsets) + 1
        return cls(slates.rows[is_hit], positions[is_hit], slates.item_idx[is_hit], relevant.lengths)

    def within(self, k: int) -> Hits:
        """Only those at the first k positions."""
        early = self.positions <= k
        return Hits(self.rows[early], self.positions[early], self.item_idx[early], self.n_relevant)

    @property
    def ordinals(self) -> npt.NDArray[np.int64]:
        """(n_hits,) 1 for a slate's first hit, 2 for its second."""
        return places_of(offsets_of(np.bincount(self.rows, minlength=len(self.n_relevant)))) + 1

    def sums(self, gains: npt.NDArray[np.float64]) -> PerPerson:
        """(n_slates,) the sum of each slate's gains; gains: (n_hits,)."""
        return np.bincount(self.rows, gains, len(self.n_relevant)).astype(np.float64, copy=False)


def ndcg(hits: Hits, k: int) -> PerPerson:
    """Discounted gain of the hits over that of the best possible slate.

    Source: Jarvelin and Kekalainen, TOIS 2002; gains are 0 or 1, discount 1 / log2(position + 1).
    """
    early = hits.within(k)
    best = np.concatenate([[0.0], np.cumsum(_discount(np.arange(1, k + 1)))])
    return _share_of(early.sums(_discount(early.positions)), best[np.minimum(hits.n_relevant, k)])


def recall(hits: Hits, k: int) -> PerPerson:
    """The share of the relevant items that the slate shows."""
    return _share_of(_n_hits(hits, k), hits.n_relevant.astype(np.float64))


def hit_rate(hits: Hits, k: int) -> PerPerson:
    """1 where the slate shows a relevant item, else 0."""
    return (_n_hits(hits, k) > 0).astype(np.float64)


def reciprocal_rank(hits: Hits, k: int) -> PerPerson:
    """1 / position of the first hit; 0 without one. Its mean over people is the MRR.

    Source: Voorhees, TREC-8 question answering track, 1999.
    """
    early = hits.within(k)
    return early.sums(np.where(early.ordinals == 1, 1 / early.positions, 0.0))


def average_precision(hits: Hits, k: int) -> PerPerson:
    """The mean, over the hits of the best possible slate, of the precision down to each hit. Its mean is the MAP.

    The best slate has min(k, number of relevant items) hits, so that it has the value 1 where k is small too.
    Source: Manning, Raghavan and Schuetze, Introduction to Information Retrieval, 2008, section 8.4.
    """
    early = hits.within(k)
    return _share_of(early.sums(early.ordinals / early.positions), np.minimum(hits.n_relevant, k).astype(np.float64))


def serendipity(hits: Hits, popularity_ranks: npt.NDArray[np.int64], k: int) -> PerPerson:
    """How far the hits stand before their place by popularity, as a share of the catalogue; the mean over k positions.

    popularity_ranks: (n_items,) 1 for the most popular item. A hit that popularity alone would show as early adds
    nothing.
    Source: Murakami, Mori and Orihara, JSAI 2007, eq. 1, with popularity as the primitive method and
    (n_items + 1 - rank) / n_items as the confidence of both.
    """
    early = hits.within(k)
    ahead = popularity_ranks[early.item_idx] - early.positions
    return early.sums(np.maximum(ahead, 0) / len(popularity_ranks)) / k


def _n_hits(hits: Hits, k: int) -> PerPerson:
    early = hits.within(k)
    return early.sums(np.ones(len(early.rows)))


def _discount(positions: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    discount: npt.NDArray[np.float64] = 1 / np.log2(positions + 1)
    return discount


def _share_of(values: PerPerson, most: PerPerson) -> PerPerson:
    return np.divide(values, most, out=np.zeros(len(values)), where=most > 0)
