"""What slates are judged with: every metric of every person, and what is measured of all slates together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from contracts.id_map import UNKNOWN, IdMap
from contracts.ids import FloatArray
from recommender.catalogue import Catalogue
from recommender.item_categories import unit_weights
from recommender.judging.hits import Hits, average_precision, hit_rate, ndcg, recall, reciprocal_rank, serendipity
from recommender.judging.intervals import PerPerson
from recommender.judging.shown import (
    coverage,
    exposure,
    gini,
    intra_list_diversity,
    miscalibration,
    most_popular,
    novelty,
    popularity_ranks,
    popularity_share,
)
from recommender.ragged import RaggedItems, places_of

# How much of the catalogue counts as popular where the share of popular items is measured.
POPULAR_SHARE: Final = 0.01
_OF_HITS: Final[Mapping[str, Callable[[Hits, int], PerPerson]]] = {
    "ndcg": ndcg,
    "recall": recall,
    "hit_rate": hit_rate,
    "mrr": reciprocal_rank,
    "map": average_precision,
}
_OF_THE_SHOWN: Final = ("serendipity", "novelty", "diversity", "popularity_share", "miscalibration")


@dataclass(frozen=True)
class Judge:
    """What slates are judged with.

    item_ids: the items that slates and relevant items are dense indices of; popularity: (n_items,) shares of people;
    vectors: (n_items, n_categories), of unit length, as `category_vectors`. An item of a slate that `item_ids`
    does not know (-1) takes its position and is relevant to nobody; the metrics of the items shown leave it out.
    """

    cutoffs: tuple[int, ...]
    item_ids: IdMap
    popularity: FloatArray
    vectors: csr_matrix

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the values per person."""
        return tuple(f"{name}_at_{k}" for k in self.cutoffs for name in (*_OF_HITS, *_OF_THE_SHOWN))

    def values(self, slates: RaggedItems, relevant: RaggedItems, histories: RaggedItems) -> dict[str, PerPerson]:
        """By name, (n_people,) every metric; a row of each argument for each person, items the judge's.

        NaN where a person has no history to be held against.
        """
        hits, values = Hits.of(slates, relevant), dict[str, PerPerson]()
        for k in self.cutoffs:
            shown = _known_items(slates, k)
            of_the_shown = (
                serendipity(hits, self._popularity_ranks, k),
                novelty(shown, self.popularity),
                intra_list_diversity(shown, self.vectors),
                popularity_share(shown, self._popular),
                miscalibration(shown, histories, self._category_shares),
            )
            values |= {f"{name}_at_{k}": metric(hits, k) for name, metric in _OF_HITS.items()}
            values |= {f"{name}_at_{k}": value for name, value in zip(_OF_THE_SHOWN, of_the_shown, strict=True)}
        return values

    def of_all(self, slates: RaggedItems) -> dict[str, float]:
        """By name, how much of the catalogue these slates show to anybody, and how unequally."""
        figures = dict[str, float]()
        for k in self.cutoffs:
            exposed = exposure(_known_items(slates, k), len(self.item_ids))
            figures |= {f"coverage_at_{k}": coverage(exposed), f"gini_at_{k}": gini(exposed)}
        return figures

    @cached_property
    def _popular(self) -> npt.NDArray[np.bool_]:
        return most_popular(self.popularity, POPULAR_SHARE)

    @cached_property
    def _popularity_ranks(self) -> npt.NDArray[np.int64]:
        return popularity_ranks(self.popularity)

    @cached_property
    def _category_shares(self) -> csr_matrix:
        """An item of n categories has 1 / sqrt(n) in each of its unit vector: squared, the shares add up to 1."""
        return self.vectors.multiply(self.vectors).tocsr()


def category_vectors(catalogue: Catalogue) -> csr_matrix:
    """(n_items, n_categories) the rows of `Catalogue.unit_categories_of` all items."""
    weights = unit_weights(np.diff(catalogue.category_offsets))
    shape = (len(catalogue), len(catalogue.category_names))
    return csr_matrix((weights, catalogue.category_idx, catalogue.category_offsets), shape)


def _known_items(slates: RaggedItems, k: int) -> RaggedItems:
    return slates.where((places_of(slates.offsets) < k) & (slates.item_idx != UNKNOWN))
