"""Items of the categories somebody likes, or says they like: what works before anybody has touched an item."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from contracts.artefact import Meta, check_built_with, load_array, load_meta, save_artefact
from contracts.ids import FloatArray
from recommender.catalogue import Catalogue
from recommender.generators.base import EncodedQueries
from recommender.generators.best_of_heads import near_best_of_heads
from recommender.interactions import Interactions
from recommender.proposals import Proposals, best_first
from recommender.query import QueryBatch, no_items
from recommender.ragged import RaggedItems
from recommender.taste import CategoryTaste, ItemCategories, Table, category_taste

KIND = "generator-content"
# Only the best known of each category compete: no request walks the catalogue.
HEAD = 1000
MOST_COMPETING = 20_000  # where a filter allows no more items, all of them compete


@dataclass(frozen=True)
class ContentGenerator:
    """Items of the categories that somebody touched, or says they like.

    appeal: (n_items,) what orders items of the same categories: 1 + log(1 + events).

    >>> import polars as pl
    >>> from contracts.tables import ITEMS_SCHEMA
    >>> from recommender.query import RetrievalQuery
    >>> films = [{"item_id": "alien", "categories": ["sf"]}, {"item_id": "brazil", "categories": ["comedy"]}]
    >>> catalogue = Catalogue.from_items(pl.DataFrame(films, ITEMS_SCHEMA))
    >>> generator = ContentGenerator(catalogue, np.ones(2, np.float32))
    >>> query = RetrievalQuery(now=0, preferred_categories=catalogue.category_vector(["comedy"]))
    >>> catalogue.ids.external(generator.encode(QueryBatch.of([query])).propose(k=1).item_idx)
    ['brazil']
    """

    catalogue: Catalogue
    appeal: FloatArray
    name: str = "content"

    @classmethod
    def fit(cls, interactions: Interactions, catalogue: Catalogue) -> ContentGenerator:
        counts = np.bincount(interactions.item_idx, minlength=len(catalogue))
        return cls(catalogue, (1 + np.log1p(counts)).astype(np.float32))

    @property
    def catalogue_fingerprint(self) -> str:
        return self.catalogue.ids.fingerprint

    @cached_property
    def _heads(self) -> RaggedItems:
        """By category, the items that may be proposed: the HEAD with the most appeal, in this order."""
        catalogue = self.catalogue
        rows = catalogue.category_idx.astype(np.int64)
        items = np.repeat(np.arange(len(catalogue), dtype=np.int32), np.diff(catalogue.category_offsets))
        by_category = np.argsort(rows, kind="stable")
        rows, items = rows[by_category], items[by_category]
        best = best_first(rows, items, self.appeal[items], len(catalogue.category_names), HEAD)
        return RaggedItems(best.offsets, best.item_idx)

    def encode(self, queries: QueryBatch) -> EncodedQueries:
        touched = self.catalogue.known_of(queries.taste_items)
        has_taste = queries.preferred_categories.any(axis=1) | (touched.lengths > 0)
        return _EncodedTaste(queries, self, has_taste, category_taste(self.catalogue, queries, touched))

    def competing_items(self, lift: Table, wanted: npt.NDArray[np.int64], queries: QueryBatch) -> RaggedItems:
        """For each query items with the best that it wants: of few that a filter allows all, else of the heads.

        lift: (n_queries, n_categories) how much more each is wanted than it is common; wanted: (n_queries,) how many.
        """
        allowed = queries.allowed
        if allowed is not None and allowed.n_allowed <= MOST_COMPETING:
            items = allowed.kept(self.name, lambda: allowed.item_idx)
            return RaggedItems.of(items if n else no_items() for n in wanted.tolist())
        heads, bits = self._heads, None if allowed is None else allowed.bits
        return near_best_of_heads(lift, wanted, heads, self.appeal, self.catalogue, queries.excluded.keys, bits)

    def save(self, folder: Path) -> Meta:
        built_with = {"catalogue": self.catalogue.fingerprint}
        return save_artefact(folder, KIND, built_with=built_with, arrays={"appeal": self.appeal})

    @classmethod
    def load(cls, folder: Path, catalogue: Catalogue) -> ContentGenerator:
        """Read what `save` wrote; raises ReleaseMismatch when it was fitted on another catalogue."""
        meta = load_meta(folder, KIND)
        check_built_with(f"generator {folder}", meta.built_with, "catalogue", catalogue.fingerprint)
        return cls(catalogue, load_array(folder, "appeal", np.float32, (len(catalogue),)))


@dataclass(frozen=True)
class _EncodedTaste:
    """Queries by the categories they want. has_taste: (n_queries,) False where nothing is known of it."""

    queries: QueryBatch
    generator: ContentGenerator
    has_taste: npt.NDArray[np.bool_]
    taste: CategoryTaste

    def propose(self, k: int) -> Proposals:
        wanted = np.where(self.has_taste, max(k, 0), 0)
        items = self.generator.competing_items(self.taste.lift_by_category, wanted, self.queries)
        return best_first(items.rows, items.item_idx, self.score(items), len(items), k, self.queries.excluded.keys)

    def score(self, items: RaggedItems) -> FloatArray:
        lift = self.taste.lift(ItemCategories.of(self.generator.catalogue, items))
        scores = lift * self.generator.appeal[items.item_idx]
        return np.where(self.has_taste[items.rows], scores, np.float32(np.nan))
