"""What is popular among people alike: of each segment what its people touched, of the rest what everybody did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from contracts.artefact import Meta, check_built_with, load_array, load_meta, save_artefact
from contracts.ids import FloatArray, ItemIdxArray
from recommender.allowed_items import AllowedItems
from recommender.catalogue import Catalogue
from recommender.generators.base import EncodedQueries
from recommender.generators.popular import HEAD, share_of_all
from recommender.interactions import Interactions
from recommender.proposals import Proposals, best_first, best_of_one
from recommender.query import QueryBatch
from recommender.ragged import (
    ITEM_BITS,
    Offsets,
    PairKeys,
    RaggedItems,
    Rows,
    check_ascending,
    is_among,
    offsets_of,
    pair_keys,
    rows_of,
    spans,
)

KIND = "generator-popular_segment"
DENSE = "shares.npy"  # the one array of generators from before this one: every segment's share of every item


@dataclass(frozen=True)
class PopularSegmentGenerator:
    """What is popular among people who share an attribute with whoever asks.

    touched: row s: the items that people of segments[s] touched, ascending. shares: aligned with touched.item_idx, the
    smoothed share of each. background: (n_items,) and divisors: (n_segments,): any other item's share in segment s is
    background[item] / divisors[s], which everybody's events alone make.

    >>> from recommender.query import RetrievalQuery
    >>> shares = np.array([[0.1, 0.9], [0.8, 0.2]], np.float32)
    >>> segments = (("device", "phone"), ("device", "tablet"))
    >>> generator = PopularSegmentGenerator.of_dense(segments, shares, "ids of two items")
    >>> on_a_tablet, unknown = RetrievalQuery(now=0, segment={"device": "tablet"}), RetrievalQuery(now=0)
    >>> generator.encode(QueryBatch.of([on_a_tablet, unknown])).propose(k=1).item_idx.tolist()
    [0]
    """

    segments: tuple[tuple[str, str], ...]
    touched: RaggedItems
    shares: FloatArray
    background: FloatArray
    divisors: npt.NDArray[np.float64]
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
        of_users = [segments_by_user.get(user_id, {}) for user_id in interactions.user_ids]
        segments = tuple(sorted({pair for segment in of_users for pair in segment.items()}))
        number = {pair: at for at, pair in enumerate(segments)}
        numbers = np.array([number[pair] for segment in of_users for pair in segment.items()], np.int64)
        of_user = offsets_of([len(segment) for segment in of_users])
        # Each event once for each segment that its person is of.
        n_segments = np.diff(of_user)[user_idx]
        of_event = numbers[spans(of_user[:-1][user_idx], n_segments)]
        keys, counts = np.unique(pair_keys(of_event, np.repeat(item_idx, n_segments)), return_counts=True)
        touched = _items_of(keys, len(segments))
        background = np.float32(smoothing) * share_of_all(np.bincount(item_idx, minlength=len(catalogue)))
        divisors = np.maximum(np.bincount(of_event, minlength=len(segments)) + smoothing, 1).astype(np.float64)
        shares = (counts + background[touched.item_idx]) / divisors[touched.rows]
        return cls(segments, touched, shares.astype(np.float32), background, divisors, catalogue.ids.fingerprint)

    @classmethod
    def of_dense(
        cls, segments: tuple[tuple[str, str], ...], shares: FloatArray, catalogue_fingerprint: str
    ) -> PopularSegmentGenerator:
        """Of every segment's share of every item: shares (n_segments, n_items)."""
        rows, items = np.nonzero(shares)
        touched = RaggedItems.of_rows(rows, items.astype(np.int32), len(segments))
        background, divisors = np.zeros(shares.shape[1], np.float32), np.ones(len(segments))
        return cls(segments, touched, shares[rows, items], background, divisors, catalogue_fingerprint)

    def shares_of(self, numbers: npt.NDArray[np.integer], item_idx: ItemIdxArray) -> FloatArray:
        """(n,) the share of each item in the segment beside it."""
        shares: FloatArray = (self.background[item_idx] / self.divisors[numbers]).astype(np.float32)
        keys = pair_keys(numbers.astype(np.int64), item_idx)
        met = is_among(keys, self.touched.keys)
        shares[met] = self.shares[np.searchsorted(self.touched.keys, keys[met])]
        return shares

    @cached_property
    def _by_background(self) -> ItemIdxArray:
        popular = np.flatnonzero(self.background > 0).astype(np.int32)
        return best_of_one(popular, self.background[popular], len(popular))[0]

    @cached_property
    def _heads(self) -> dict[int, ItemIdxArray]:
        return {}

    def head(self, number: int, allowed: AllowedItems | None = None) -> ItemIdxArray:
        """The items that compete for one segment, by their index: of those allowed, the HEAD most popular."""
        if allowed is not None:
            return allowed.kept((self.name, number), lambda: self._head_of(number, allowed))
        if number not in self._heads:
            self._heads[number] = self._head_of(number, None)
        return self._heads[number]

    def _head_of(self, number: int, allowed: AllowedItems | None) -> ItemIdxArray:
        own, others = self.touched[number], self._by_background
        # So many of everybody's that HEAD are left when those of the segment are taken out.
        n_others = HEAD + len(own)
        if allowed is not None:
            own, others = own[allowed.contains(own)], allowed.first_of(others, n_others)
        items = np.union1d(own, others[:n_others]).astype(np.int32)
        shares = self.shares_of(np.full(len(items), number), items)
        return np.sort(best_of_one(items, np.where(shares > 0, shares, np.nan), HEAD)[0])

    @cached_property
    def _number(self) -> dict[tuple[str, str], int]:
        return {segment: number for number, segment in enumerate(self.segments)}

    def encode(self, queries: QueryBatch) -> EncodedQueries:
        numbers = [sorted(self._segment_numbers(segment)) for segment in queries.segments]
        offsets = offsets_of([len(row) for row in numbers])
        return _EncodedSegments(
            queries, self, offsets, np.array([number for row in numbers for number in row], np.intp)
        )

    def _segment_numbers(self, segment: Mapping[str, str]) -> Iterator[int]:
        return (self._number[pair] for pair in segment.items() if pair in self._number)

    def save(self, folder: Path) -> Meta:
        return save_artefact(
            folder,
            KIND,
            built_with={"catalogue ids": self.catalogue_fingerprint},
            arrays={
                "starts": self.touched.offsets,
                "items": self.touched.item_idx,
                "touched_shares": self.shares,
                "background": self.background,
                "divisors": self.divisors,
            },
            values={"segments": [list(segment) for segment in self.segments]},
        )

    @classmethod
    def load(cls, folder: Path, catalogue: Catalogue) -> PopularSegmentGenerator:
        """Read what `save` wrote, now or before; raises ReleaseMismatch when it was fitted on other item ids."""
        meta = load_meta(folder, KIND)
        check_built_with(f"generator {folder}", meta.built_with, "catalogue ids", catalogue.ids.fingerprint)
        segments = tuple((attribute, value) for attribute, value in meta.values["segments"])
        if DENSE in meta.files:
            shares = load_array(folder, "shares", np.float32, (len(segments), len(catalogue)))
            return cls.of_dense(segments, shares, catalogue.ids.fingerprint)
        starts = load_array(folder, "starts", np.int64, (len(segments) + 1,))
        items = load_array(folder, "items", np.int32, (None,))
        touched = RaggedItems(starts, items)
        check_ascending(folder, "items", touched, len(catalogue))
        return cls(
            segments,
            touched,
            load_array(folder, "touched_shares", np.float32, (len(items),)),
            load_array(folder, "background", np.float32, (len(catalogue),)),
            load_array(folder, "divisors", np.float64, (len(segments),)),
            catalogue.ids.fingerprint,
        )


def _items_of(keys: PairKeys, n_rows: int) -> RaggedItems:
    return RaggedItems.of_rows(keys >> 32, (keys & ITEM_BITS).astype(np.int32), n_rows)


@dataclass(frozen=True)
class _EncodedSegments:
    """Queries by the segments they name: query q those of numbers[offsets[q]:offsets[q + 1]]."""

    queries: QueryBatch
    generator: PopularSegmentGenerator
    offsets: Offsets
    numbers: npt.NDArray[np.intp]

    def propose(self, k: int) -> Proposals:
        allowed = self.queries.allowed
        heads = RaggedItems.of([self.generator.head(number, allowed) for number in self.numbers.tolist()])
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
            total[named] += self.generator.shares_of(number, item_idx[named])
        return np.where(n_segments > 0, total / np.maximum(n_segments, 1), np.nan).astype(np.float32)
