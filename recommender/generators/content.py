"""Items of the categories somebody likes, or says they like: what works before anybody has touched an item."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from contracts.artefact import Meta, check_built_with, load_array, load_meta, save_artefact
from contracts.ids import FloatArray, ItemIdxArray
from recommender.catalogue import Catalogue
from recommender.interactions import Interactions
from recommender.proposals import Proposals, best_first
from recommender.query import RetrievalQuery, no_items
from recommender.taste import category_taste

KIND = "generator-content"
# Only the best known of each category compete: no request walks the catalogue.
HEAD = 1000


@dataclass(frozen=True)
class ContentGenerator:
    """Items of the categories that somebody touched, or says they like.

    appeal: (n_items,) what orders items of the same categories: 1 + log(1 + events).

    >>> import polars as pl
    >>> from contracts.tables import ITEMS_SCHEMA
    >>> films = [(name, None, [kind], None, None, None, None) for name, kind in (("alien", "sf"), ("brazil", "comedy"))]
    >>> catalogue = Catalogue.from_items(pl.DataFrame(films, ITEMS_SCHEMA, orient="row"))
    >>> generator = ContentGenerator(catalogue, np.ones(2, np.float32))
    >>> query = RetrievalQuery(now=0, preferred_categories=catalogue.category_vector(["comedy"]))
    >>> catalogue.ids.external(generator.propose(query, k=1).item_idx)
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
    def _proposable_items(self) -> ItemIdxArray:
        """The items that may be proposed: of each category, the HEAD with the most appeal."""
        heads = [no_items()]
        for members in self.catalogue.categories.T:
            item_idx = np.flatnonzero(members).astype(np.int32)
            heads.append(best_first(item_idx, self.appeal[item_idx], HEAD, no_items()).item_idx)
        return np.unique(np.concatenate(heads))

    def propose(self, query: RetrievalQuery, k: int) -> Proposals:
        if not self._has_taste(query):
            return Proposals.none()
        return best_first(self._proposable_items, self.score(query, self._proposable_items), k, query.excluded)

    def score(self, query: RetrievalQuery, item_idx: ItemIdxArray) -> FloatArray:
        if not self._has_taste(query):
            return np.full(len(item_idx), np.nan, np.float32)
        lift = category_taste(self.catalogue, query).lift(self.catalogue.unit_categories[item_idx])
        return lift * self.appeal[item_idx]

    def _has_taste(self, query: RetrievalQuery) -> bool:
        return bool(query.preferred_categories.any() or len(self.catalogue.known(query.taste_items())))

    def save(self, folder: Path) -> Meta:
        built_with = {"catalogue": self.catalogue.fingerprint}
        return save_artefact(folder, KIND, built_with=built_with, arrays={"appeal": self.appeal})

    @classmethod
    def load(cls, folder: Path, catalogue: Catalogue) -> ContentGenerator:
        """Read what `save` wrote; raises ReleaseMismatch when it was fitted on another catalogue."""
        meta = load_meta(folder, KIND)
        check_built_with(f"generator {folder}", meta.built_with, "catalogue", catalogue.fingerprint)
        return cls(catalogue, load_array(folder, "appeal", np.float32, (len(catalogue),)))
