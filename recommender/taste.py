"""The taste of people, by their items and stated categories: computed once for retrieval, ranking and reasons."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from contracts.ids import FloatArray
from recommender.catalogue import Catalogue
from recommender.query import QueryBatch
from recommender.ragged import RaggedItems, Rows, mean_by, offsets_of, rows_of, spans, sum_by

# The catalogue's own mix counts as much as this many events, so that two clicks are not yet a taste.
PRIOR_EVENTS = 10.0
# What somebody says they like counts as much as this many events of it.
STATED_EVENTS = 10.0


@dataclass(frozen=True)
class ItemCategories:
    """The categories of items that stand beside queries, one entry for each category of each item.

    rows: (n_items,) the query of each item; item_of_entry, category: (n_entries,); weight: (n_items,) of each category
    of the item, so that all of them together are a vector of unit length; 0 for an item without categories.
    """

    rows: Rows
    item_of_entry: Rows
    category: npt.NDArray[np.int32]
    weight: npt.NDArray[np.float64]

    @classmethod
    def of(cls, catalogue: Catalogue, items: RaggedItems) -> ItemCategories:
        """Those of the catalogue; every item must be one of it."""
        starts = catalogue.category_offsets[items.item_idx]
        lengths = catalogue.category_offsets[items.item_idx + 1] - starts
        entries = catalogue.category_idx[spans(starts, lengths)]
        weight = np.where(lengths, 1 / np.sqrt(np.maximum(lengths, 1)), 0.0)
        return cls(items.rows, rows_of(offsets_of(lengths)), entries, weight)

    @cached_property
    def row_of_entry(self) -> Rows:
        return self.rows[self.item_of_entry]

    def values(self, by_category: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """(n_entries,) of (n_queries, n_categories), the value of each entry's query and category."""
        if len(by_category) == 1:
            return np.take(by_category[0], self.category)
        return by_category[self.row_of_entry, self.category]

    def by_category(self, n_queries: int, n_categories: int) -> npt.NDArray[np.float64]:
        """(n_queries, n_categories) the sum of the unit vectors of each query's items."""
        cells = self.row_of_entry * n_categories + self.category
        sums = np.bincount(cells, self.weight[self.item_of_entry], n_queries * n_categories)
        return np.asarray(sums, np.float64).reshape(n_queries, n_categories)


@dataclass(frozen=True)
class CategoryTaste:
    """share: (n_queries, n_categories) how much of each one's taste each category is; prior: (n_categories,) the same
    over the catalogue."""

    share: npt.NDArray[np.float64]
    prior: npt.NDArray[np.float64]

    @cached_property
    def lift_by_category(self) -> npt.NDArray[np.float64]:
        """(n_queries, n_categories) 1 where somebody wants a category as much as it is common."""
        lift: npt.NDArray[np.float64] = self.share / np.maximum(self.prior, 1e-6)
        return lift

    def affinity(self, items: ItemCategories) -> FloatArray:
        """(n_items,) how much the items are of the categories that their queries want."""
        entries = items.values(self.share)
        return (sum_by(items.item_of_entry, entries, len(items.rows)) * items.weight).astype(np.float32)

    def lift(self, items: ItemCategories) -> FloatArray:
        """(n_items,) affinity relative to the catalogue: the mean lift of the item's categories.

        NaN for an item without categories.
        """
        entries = items.values(self.lift_by_category)
        return mean_by(items.item_of_entry, entries, len(items.rows)).astype(np.float32)


def category_taste(catalogue: Catalogue, queries: QueryBatch, items: RaggedItems) -> CategoryTaste:
    """The taste that these items of the queries, and their stated categories, tell; items: of the catalogue."""
    prior = catalogue.category_prior
    n_categories = len(prior)
    touched = ItemCategories.of(catalogue, items).by_category(len(queries), n_categories)
    mass, weight = PRIOR_EVENTS * prior + touched, PRIOR_EVENTS + items.lengths
    stated = queries.preferred_categories.astype(np.float64)
    if stated.shape[1]:
        total = stated.sum(axis=1)
        mass = mass + STATED_EVENTS * stated / np.where(total > 0, total, 1)[:, None]
        weight = weight + np.where(total > 0, STATED_EVENTS, 0)
    return CategoryTaste(mass / weight[:, None], prior)
