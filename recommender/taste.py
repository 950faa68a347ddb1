"""The taste of people, by their items and stated categories: one rule for retrieval, ranking and reasons."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from contracts.ids import FloatArray, ItemIdxArray
from recommender.catalogue import Catalogue
from recommender.compiled import COUNTS, INDICES, NUMBER, SUMS, SUMS_TABLE, compiled
from recommender.query import QueryBatch
from recommender.ragged import Offsets, RaggedItems

Table = npt.NDArray[np.float64]  # (n_queries, n_categories)

# The catalogue's own mix counts as much as this many events, so that two clicks are not yet a taste.
PRIOR_EVENTS = 10.0
# What somebody says they like counts as much as this many events of it.
STATED_EVENTS = 10.0


@dataclass(frozen=True)
class ItemCategories:
    """The categories of items that stand beside queries.

    Item i is of the categories category_idx[category_offsets[i]:category_offsets[i + 1]]. Each of the n categories of
    an item weighs 1 / sqrt(n), so that all of them together are a vector of unit length.
    """

    items: RaggedItems
    category_offsets: Offsets
    category_idx: npt.NDArray[np.int32]

    @classmethod
    def of(cls, catalogue: Catalogue, items: RaggedItems) -> ItemCategories:
        """Those of the catalogue; every item must be one of it."""
        return cls(items, catalogue.category_offsets, catalogue.category_idx)

    def by_category(self, n_categories: int) -> Table:
        """(n_queries, n_categories) the sum of the unit vectors of each query's items."""
        return _sum_of_units(*self._arrays, n_categories)

    def latest_by_category(self, values: npt.NDArray[np.float64], n_categories: int) -> Table:
        """(n_queries, n_categories) the largest value of the items of each category; minus infinity for none."""
        return _largest_by_category(*self._arrays, values, n_categories)

    def inner_product(self, by_category: Table) -> npt.NDArray[np.float64]:
        """(n_items,) of the query's row of (n_queries, n_categories) with the item's unit vector."""
        n_categories, sums, _ = _over_categories(*self._arrays, by_category)
        product: npt.NDArray[np.float64] = sums * (1 / np.sqrt(np.maximum(n_categories, 1)))
        return product

    def mean(self, by_category: Table) -> npt.NDArray[np.float64]:
        """(n_items,) over the item's categories of the query's row; NaN for an item without categories."""
        n_categories, sums, _ = _over_categories(*self._arrays, by_category)
        return np.where(n_categories, sums / np.maximum(n_categories, 1), np.nan)

    def largest(self, by_category: Table) -> npt.NDArray[np.float64]:
        """(n_items,) over the item's categories of the query's row; minus infinity for an item without categories."""
        wanted = self.most_wanted(by_category)
        has_some = wanted >= 0
        values = np.full(len(wanted), -np.inf)
        values[has_some] = by_category[self.items.rows[has_some], wanted[has_some]]
        return values

    def most_wanted(self, by_category: Table) -> npt.NDArray[np.int32]:
        """(n_items,) the category of each item with the largest value in the query's row, the first of equals; -1."""
        return _over_categories(*self._arrays, by_category)[2]

    @property
    def _arrays(self) -> tuple[Offsets, ItemIdxArray, Offsets, npt.NDArray[np.int32]]:
        return self.items.offsets, self.items.item_idx, self.category_offsets, self.category_idx


@dataclass(frozen=True)
class CategoryTaste:
    """share: (n_queries, n_categories) how much of each one's taste each category is; prior: (n_categories,) the same
    over the catalogue."""

    share: Table
    prior: npt.NDArray[np.float64]

    @cached_property
    def lift_by_category(self) -> Table:
        """(n_queries, n_categories) 1 where somebody wants a category as much as it is common."""
        lift: Table = self.share / np.maximum(self.prior, 1e-6)
        return lift

    def affinity(self, items: ItemCategories) -> FloatArray:
        """(n_items,) how much the items are of the categories that their queries want."""
        return items.inner_product(self.share).astype(np.float32)

    def lift(self, items: ItemCategories) -> FloatArray:
        """(n_items,) affinity relative to the catalogue: the mean lift of the item's categories.

        NaN for an item without categories.
        """
        return items.mean(self.lift_by_category).astype(np.float32)


def category_taste(catalogue: Catalogue, queries: QueryBatch, items: RaggedItems) -> CategoryTaste:
    """The taste that these items of the queries, and their stated categories, tell; items: of the catalogue."""
    prior = catalogue.category_prior
    n_categories = len(prior)
    touched = ItemCategories.of(catalogue, items).by_category(n_categories)
    mass, weight = PRIOR_EVENTS * prior + touched, PRIOR_EVENTS + items.lengths
    stated = queries.preferred_categories.astype(np.float64)
    if stated.shape[1]:
        total = stated.sum(axis=1)
        mass = mass + STATED_EVENTS * stated / np.where(total > 0, total, 1)[:, None]
        weight = weight + np.where(total > 0, STATED_EVENTS, 0)
    return CategoryTaste(mass / weight[:, None], prior)


@compiled(COUNTS, INDICES, COUNTS, INDICES, NUMBER)
def _sum_of_units(
    offsets: Offsets,
    item_idx: ItemIdxArray,
    category_offsets: Offsets,
    category_idx: npt.NDArray[np.int32],
    n_categories: int,
) -> Table:  # pragma: no cover - compiled
    sums = np.zeros((len(offsets) - 1, n_categories))
    for query in range(len(offsets) - 1):
        for at in range(offsets[query], offsets[query + 1]):
            first, end = category_offsets[item_idx[at]], category_offsets[item_idx[at] + 1]
            for entry in range(first, end):
                sums[query, category_idx[entry]] += 1 / np.sqrt(end - first)
    return sums


@compiled(COUNTS, INDICES, COUNTS, INDICES, SUMS, NUMBER)
def _largest_by_category(
    offsets: Offsets,
    item_idx: ItemIdxArray,
    category_offsets: Offsets,
    category_idx: npt.NDArray[np.int32],
    values: npt.NDArray[np.float64],
    n_categories: int,
) -> Table:  # pragma: no cover - compiled
    largest = np.full((len(offsets) - 1, n_categories), -np.inf)
    for query in range(len(offsets) - 1):
        for at in range(offsets[query], offsets[query + 1]):
            for entry in range(category_offsets[item_idx[at]], category_offsets[item_idx[at] + 1]):
                category = category_idx[entry]
                largest[query, category] = max(largest[query, category], values[at])
    return largest


@compiled(COUNTS, INDICES, COUNTS, INDICES, SUMS_TABLE)
def _over_categories(
    offsets: Offsets,
    item_idx: ItemIdxArray,
    category_offsets: Offsets,
    category_idx: npt.NDArray[np.int32],
    by_category: Table,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.int32]]:  # pragma: no cover - compiled
    """For each item how many categories it has, the sum of what the query's row says of them, and the largest's."""
    n_categories, sums = np.zeros(len(item_idx), np.int64), np.zeros(len(item_idx))
    largest = np.full(len(item_idx), -1, np.int32)
    for query in range(len(offsets) - 1):
        for at in range(offsets[query], offsets[query + 1]):
            first, end = category_offsets[item_idx[at]], category_offsets[item_idx[at] + 1]
            n_categories[at] = end - first
            for entry in range(first, end):
                category = category_idx[entry]
                sums[at] += by_category[query, category]
                if largest[at] < 0 or by_category[query, category] > by_category[query, largest[at]]:
                    largest[at] = category
    return n_categories, sums, largest
