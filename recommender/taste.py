"""The taste of a person, by their items and stated categories: computed once for retrieval and for ranking."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from contracts.ids import FloatArray, ItemIdxArray
from recommender.catalogue import Catalogue
from recommender.query import RetrievalQuery

# The catalogue's own mix counts as much as this many events, so that two clicks are not yet a taste.
PRIOR_EVENTS = 10.0
# What somebody says they like counts as much as this many events of it.
STATED_EVENTS = 10.0


@dataclass(frozen=True)
class CategoryTaste:
    """share: (n_categories,) how much of a person's taste each category is; prior: the same over the catalogue."""

    share: FloatArray
    prior: FloatArray

    def affinity(self, unit_categories: FloatArray) -> FloatArray:
        """(n,) how much the items, as rows of unit length, are of the categories this person wants."""
        return np.asarray(unit_categories @ self.share, np.float32)

    def lift(self, unit_categories: FloatArray) -> FloatArray:
        """(n,) affinity relative to the catalogue: 1 where the person wants a category as much as it is common.

        NaN for an item without categories.
        """
        weight = unit_categories.sum(axis=1)
        lift = unit_categories @ (self.share / np.maximum(self.prior, 1e-6))
        return np.where(weight > 0, lift / np.maximum(weight, 1e-6), np.nan).astype(np.float32)


def category_taste(catalogue: Catalogue, query: RetrievalQuery, latest: int | None = None) -> CategoryTaste:
    """The taste that the query's items (at most the `latest` ones) and stated categories tell."""
    prior = catalogue.category_prior
    mass = PRIOR_EVENTS * prior
    weight = PRIOR_EVENTS
    if len(query.preferred_categories) and query.preferred_categories.sum() > 0:
        mass = mass + STATED_EVENTS * query.preferred_categories / query.preferred_categories.sum()
        weight += STATED_EVENTS
    items = catalogue.known(query.taste_items(latest))
    mass = mass + catalogue.unit_categories[items].sum(axis=0)
    return CategoryTaste(np.asarray(mass / (weight + len(items)), np.float32), prior)


def mean_release_year(catalogue: Catalogue, items: ItemIdxArray) -> float:
    """The mean year of those items whose year is known; NaN where there is none."""
    years = catalogue.release_year[catalogue.known(items)]
    years = years[~np.isnan(years)]
    return float(years.mean()) if len(years) else float("nan")
