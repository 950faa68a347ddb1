"""What is popular: over all time, of late, among newcomers, among people who come back, among people alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from contracts.artefact import Meta, check_built_with, load_array, load_meta, save_artefact
from contracts.ids import FloatArray, ItemIdxArray
from recommender.catalogue import Catalogue
from recommender.generators.base import EncodedQueries
from recommender.interactions import Interactions
from recommender.proposals import Proposals, best_first, best_of_one
from recommender.query import QueryBatch
from recommender.ragged import ITEM_BITS, Offsets, RaggedItems, Rows, offsets_of, pair_keys, places_of, rows_of

# Only the most popular of each segment compete: more than anybody has seen, and no request walks the catalogue.
HEAD = 2000


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
        return cls(name, _share(counts), catalogue.ids.fingerprint)

    @cached_property
    def _by_popularity(self) -> ItemIdxArray:
        popular = np.flatnonzero(self.shares > 0).astype(np.int32)
        return best_of_one(popular, self.shares[popular], len(popular))[0]

    def encode(self, queries: QueryBatch) -> EncodedQueries:
        return _EncodedForEverybody(queries, self.shares, self._by_popularity)

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
    """Queries that are all told the same. by_popularity: the items that may be proposed, best first."""

    queries: QueryBatch
    shares: FloatArray
    by_popularity: ItemIdxArray

    def propose(self, k: int) -> Proposals:
        """The head of the list, long enough to have k left whatever is excluded of it."""
        lengths = np.minimum(k + self.queries.excluded.lengths, len(self.by_popularity))
        offsets = offsets_of(lengths)
        items = self.by_popularity[places_of(offsets)]
        return best_first(rows_of(offsets), items, self.shares[items], len(lengths), k, self.queries.excluded.keys)

    def score(self, items: RaggedItems) -> FloatArray:
        return self.shares[items.item_idx]


@dataclass(frozen=True)
class PopularSegmentGenerator:
    """What is popular among people who share an attribute with whoever asks.

    shares: (n_segments, n_items) smoothed shares; row r: people with the attribute and value segments[r].

    >>> from recommender.query import RetrievalQuery
    >>> shares = np.array([[0.1, 0.9], [0.8, 0.2]], np.float32)
    >>> generator = PopularSegmentGenerator((("device", "phone"), ("device", "tablet")), shares, "ids of two items")
    >>> on_a_tablet, unknown = RetrievalQuery(now=0, segment={"device": "tablet"}), RetrievalQuery(now=0)
    >>> generator.encode(QueryBatch.of([on_a_tablet, unknown])).propose(k=1).item_idx.tolist()
    [0]
    """

    segments: tuple[tuple[str, str], ...]
    shares: FloatArray
    catalogue_fingerprint: str
    name: str = "popular_segment"

    @classmethod
    def fit(
        cls,
        interactions: Interactions,
        catalogue: Catalogue,
        segments_by_user: Mapping[str, Mapping[str, str]],
        since: float,
        smoothing: float,
    ) -> PopularSegmentGenerator:
        """Count the events at or after `since` within each segment, mixed with `smoothing` events of everybody's."""
        recent = interactions.event_ts >= since
        item_idx, user_idx = interactions.item_idx[recent], interactions.user_idx[recent]
        everybody = _share(np.bincount(item_idx, minlength=len(catalogue)))
        of_users = [segments_by_user.get(user_id, {}) for user_id in interactions.user_ids]
        segments = tuple(sorted({pair for segment in of_users for pair in segment.items()}))
        shares = np.zeros((len(segments), len(catalogue)), np.float32)
        for row, (attribute, value) in enumerate(segments):
            members = np.array([segment.get(attribute) == value for segment in of_users], bool)
            counts = np.bincount(item_idx[members[user_idx]], minlength=len(catalogue))
            shares[row] = (counts + smoothing * everybody) / max(counts.sum() + smoothing, 1)
        return cls(segments, shares, catalogue.ids.fingerprint)

    @cached_property
    def _heads(self) -> list[ItemIdxArray]:
        """By segment, the items that may be proposed, in the order of their index."""
        every = np.arange(self.shares.shape[1], dtype=np.int32)
        popular = [np.where(row > 0, row, np.nan) for row in self.shares]
        return [np.sort(best_of_one(every, row, HEAD)[0]) for row in popular]

    @cached_property
    def _number(self) -> dict[tuple[str, str], int]:
        return {segment: number for number, segment in enumerate(self.segments)}

    def encode(self, queries: QueryBatch) -> EncodedQueries:
        numbers = [sorted(self._numbers(segment)) for segment in queries.segments]
        offsets = offsets_of([len(row) for row in numbers])
        return _EncodedSegments(
            queries, self, offsets, np.array([number for row in numbers for number in row], np.intp)
        )

    def _numbers(self, segment: Mapping[str, str]) -> Iterator[int]:
        return (self._number[pair] for pair in segment.items() if pair in self._number)

    def head(self, number: int) -> ItemIdxArray:
        """The items that may be proposed for one segment, in the order of their index."""
        return self._heads[number]

    def save(self, folder: Path) -> Meta:
        return save_artefact(
            folder,
            _kind(self.name),
            built_with={"catalogue ids": self.catalogue_fingerprint},
            arrays={"shares": self.shares},
            values={"segments": [list(segment) for segment in self.segments]},
        )

    @classmethod
    def load(cls, folder: Path, catalogue: Catalogue) -> PopularSegmentGenerator:
        """Read what `save` wrote; raises ReleaseMismatch when it was fitted on other item ids."""
        meta = load_meta(folder, _kind("popular_segment"))
        check_built_with(f"generator {folder}", meta.built_with, "catalogue ids", catalogue.ids.fingerprint)
        segments = tuple((attribute, value) for attribute, value in meta.values["segments"])
        shares = load_array(folder, "shares", np.float32, (len(segments), len(catalogue)))
        return cls(segments, shares, catalogue.ids.fingerprint)


@dataclass(frozen=True)
class _EncodedSegments:
    """Queries by the segments they name: query q those of numbers[offsets[q]:offsets[q + 1]]."""

    queries: QueryBatch
    generator: PopularSegmentGenerator
    offsets: Offsets
    numbers: npt.NDArray[np.intp]

    def propose(self, k: int) -> Proposals:
        heads = RaggedItems.of([self.generator.head(number) for number in self.numbers.tolist()])
        rows = np.repeat(rows_of(self.offsets), heads.lengths)
        keys = np.unique(pair_keys(rows, heads.item_idx))
        rows, item_idx = keys >> 32, (keys & ITEM_BITS).astype(np.int32)
        scores = self._scores(rows, item_idx)
        return best_first(rows, item_idx, scores, len(self.queries), k, self.queries.excluded.keys)

    def score(self, items: RaggedItems) -> FloatArray:
        return self._scores(items.rows, items.item_idx)

    def _scores(self, rows: Rows, item_idx: ItemIdxArray) -> FloatArray:
        """The mean of the shares in the query's segments; NaN for a query without one."""
        n_segments = np.diff(self.offsets)[rows]
        total = np.zeros(len(rows), np.float32)
        for place in range(int(n_segments.max(initial=0))):
            named = n_segments > place
            number = self.numbers[self.offsets[rows[named]] + place]
            total[named] += self.generator.shares[number, item_idx[named]]
        return np.where(n_segments > 0, total / np.maximum(n_segments, 1), np.nan).astype(np.float32)


def _share(counts: npt.NDArray[np.number[Any]]) -> FloatArray:
    return np.asarray(counts / (counts.sum() or 1), np.float32)


def _kind(name: str) -> str:
    return f"generator-{name}"
