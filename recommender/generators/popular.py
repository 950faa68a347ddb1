"""What is popular: over all time, of late, among newcomers, among people who come back, among people alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from contracts.artefact import Meta, check_built_with, load_array, load_meta, save_artefact
from contracts.ids import FloatArray, ItemIdxArray
from recommender.catalogue import Catalogue
from recommender.interactions import Interactions
from recommender.proposals import Proposals, best_first
from recommender.query import RetrievalQuery, no_items

# Only the most popular of each segment compete: more than anybody has seen, and no request walks the catalogue.
HEAD = 2000


@dataclass(frozen=True)
class PopularGenerator:
    """The most popular items, the same for everybody.

    shares: (n_items,) the share of all events that each item had in the window.

    >>> generator = PopularGenerator("popular", np.array([0.2, 0.5, 0.3], np.float32), "ids of three items")
    >>> generator.propose(RetrievalQuery(now=0), k=2).item_idx.tolist()
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
        return best_first(popular, self.shares[popular], len(popular), no_items()).item_idx

    def propose(self, query: RetrievalQuery, k: int) -> Proposals:
        head = self._by_popularity[: k + len(query.excluded)]
        return best_first(head, self.shares[head], k, query.excluded)

    def score(self, query: RetrievalQuery, item_idx: ItemIdxArray) -> FloatArray:  # noqa: ARG002 the same for everybody
        return self.shares[item_idx]

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
class PopularSegmentGenerator:
    """What is popular among people who share an attribute with whoever asks.

    shares: (n_segments, n_items) smoothed shares; row r: people with the attribute and value segments[r].

    >>> shares = np.array([[0.1, 0.9], [0.8, 0.2]], np.float32)
    >>> generator = PopularSegmentGenerator((("device", "phone"), ("device", "tablet")), shares, "ids of two items")
    >>> generator.propose(RetrievalQuery(now=0, segment={"device": "tablet"}), k=1).item_idx.tolist()
    [0]
    >>> len(generator.propose(RetrievalQuery(now=0), k=1))
    0
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
    def _proposable_items(self) -> list[ItemIdxArray]:
        item_idx = np.arange(self.shares.shape[1], dtype=np.int32)
        popular = [np.where(row > 0, row, np.nan).astype(np.float32) for row in self.shares]
        return [best_first(item_idx, row, HEAD, no_items()).item_idx for row in popular]

    def propose(self, query: RetrievalQuery, k: int) -> Proposals:
        rows = self._segment_rows(query)
        if not rows:
            return Proposals.none()
        item_idx = np.unique(np.concatenate([self._proposable_items[row] for row in rows]))
        return best_first(item_idx, self.score(query, item_idx), k, query.excluded)

    def score(self, query: RetrievalQuery, item_idx: ItemIdxArray) -> FloatArray:
        rows = self._segment_rows(query)
        if not rows:
            return np.full(len(item_idx), np.nan, np.float32)
        return np.asarray(self.shares[rows][:, item_idx].mean(axis=0), np.float32)

    def _segment_rows(self, query: RetrievalQuery) -> list[int]:
        return [row for row, (attribute, value) in enumerate(self.segments) if query.segment.get(attribute) == value]

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


def _share(counts: npt.NDArray[np.number[Any]]) -> FloatArray:
    return np.asarray(counts / (counts.sum() or 1), np.float32)


def _kind(name: str) -> str:
    return f"generator-{name}"
