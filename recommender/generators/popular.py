"""What is popular: over all time, of late, among newcomers, among people who come back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from contracts.artefact import Meta, check_built_with, load_array, load_meta, save_artefact
from contracts.ids import FloatArray, ItemIdxArray
from recommender.allowed_items import AllowedItems
from recommender.catalogue import Catalogue
from recommender.generators.base import EncodedQueries
from recommender.interactions import Interactions
from recommender.proposals import Proposals, best_first, best_of_one
from recommender.query import QueryBatch
from recommender.ragged import RaggedItems, offsets_of, places_of, rows_of

# Only the most popular of a segment compete: more than anybody has seen, and no request walks the catalogue.
HEAD = 2000
# The generator that also proposes what nobody has touched, where a filter leaves too little else.
FILLER = "popular"


@dataclass(frozen=True)
class PopularGenerator:
    """The most popular items, the same for everybody.

    shares: (n_items,) the share of all events that each item had in the window.

    >>> from recommender.query import RetrievalQuery
    >>> generator = PopularGenerator("popular", np.array([0.2, 0.5, 0.3], np.float32), "ids of three items")
    >>> generator.encode(QueryBatch.of([RetrievalQuery(now=0)])).propose(k=2).item_idx.tolist()
    [1, 2]
    """

    name: str
    shares: FloatArray
    catalogue_fingerprint: str

    @classmethod
    def fit(
        cls, name: str, interactions: Interactions, catalogue: Catalogue, weights: npt.NDArray[np.float64] | None = None
    ) -> PopularGenerator:
        """Count the events, each by its weight: (n_events,), 0 leaves one out; None counts all alike."""
        counts = np.bincount(interactions.item_idx, weights, minlength=len(catalogue))
        return cls(name, share_of_all(counts), catalogue.ids.fingerprint)

    @cached_property
    def _by_popularity(self) -> ItemIdxArray:
        popular = np.flatnonzero(self.shares > 0).astype(np.int32)
        return best_of_one(popular, self.shares[popular], len(popular))[0]

    def head(self, n: int, allowed: AllowedItems | None) -> ItemIdxArray:
        """The items that compete, best first: n of those allowed, or more; all there are where there are fewer."""
        if allowed is None:
            return self._by_popularity
        n_kept = max(HEAD, 1 << (n - 1).bit_length())  # few different lengths
        return allowed.kept((self.name, n_kept), lambda: self._first_allowed(n_kept, allowed))

    def _first_allowed(self, n: int, allowed: AllowedItems) -> ItemIdxArray:
        popular = allowed.first_of(self._by_popularity, n)
        if self.name != FILLER or len(popular) == n:
            return popular
        others = allowed.item_idx
        untouched = others[self.shares[others] == 0]
        return np.concatenate([popular, untouched[: n - len(popular)]])

    def encode(self, queries: QueryBatch) -> EncodedQueries:
        return _EncodedForEverybody(queries, self)

    def save(self, folder: Path) -> Meta:
        built_with = {"catalogue ids": self.catalogue_fingerprint}
        return save_artefact(folder, _kind(self.name), built_with=built_with, arrays={"shares": self.shares})

    @classmethod
    def load(cls, folder: Path, catalogue: Catalogue, name: str) -> PopularGenerator:
        """Read what `save` wrote; raises ReleaseMismatch when it was fitted on other item ids."""
        meta = load_meta(folder, _kind(name))
        check_built_with(f"generator {folder}", meta.built_with, "catalogue ids", catalogue.ids.fingerprint)
        shares = load_array(folder, "shares", np.float32, (len(catalogue),))
        return cls(name, shares, catalogue.ids.fingerprint)


@dataclass(frozen=True)
class _EncodedForEverybody:
    """Queries that are all told the same."""

    queries: QueryBatch
    generator: PopularGenerator

    def propose(self, k: int) -> Proposals:
        """The head of the list, long enough to have k left whatever is excluded of it."""
        wanted = k + self.queries.excluded.lengths
        head = self.generator.head(int(wanted.max(initial=0)), self.queries.allowed)
        lengths = np.minimum(wanted, len(head))
        offsets = offsets_of(lengths)
        items, excluded = head[places_of(offsets)], self.queries.excluded.keys
        return best_first(rows_of(offsets), items, self.generator.shares[items], len(lengths), k, excluded)

    def score(self, items: RaggedItems) -> FloatArray:
        return self.generator.shares[items.item_idx]


def share_of_all(counts: npt.NDArray[np.number[Any]]) -> FloatArray:
    """(n_items,) of counts, as 32-bit numbers; all 0 where nothing was counted."""
    return np.asarray(counts / (counts.sum() or 1), np.float32)


def _kind(name: str) -> str:
    return f"generator-{name}"
