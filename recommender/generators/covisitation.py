"""Item-to-item co-visitation: what people look at in the same visit as the items of a history."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from contracts.artefact import Meta, check_built_with, load_array, load_meta, save_artefact
from contracts.ids import FloatArray, ItemIdxArray
from contracts.settings import CovisitationSettings
from recommender.catalogue import Catalogue
from recommender.events import Events
from recommender.generators.base import Proposals, best_first
from recommender.query import RetrievalQuery

KIND = "generator-covisitation"
# A pair counts less for items hardly seen: their few visits would otherwise outshine everything.
SHRINKAGE = 5.0


@dataclass(frozen=True)
class CovisitationGenerator:
    """The neighbours of item i, in the order of their index, are neighbours[starts[i]:starts[i+1]], with weights."""

    starts: npt.NDArray[np.int64]
    neighbours: ItemIdxArray
    weights: FloatArray
    history_length: int
    catalogue_fingerprint: str
    name: str = "covisitation"

    @classmethod
    def fit(cls, events: Events, catalogue: Catalogue, settings: CovisitationSettings) -> CovisitationGenerator:
        """Count pairs within visits; a long visit says less of each of its pairs than a short one."""
        counts = _pair_counts(events, len(catalogue), settings.window_hours)
        kept = _nearest(_damped(counts, settings.popularity_damping), settings.n_neighbours)
        return cls(
            kept.indptr.astype(np.int64),
            kept.indices.astype(np.int32),
            kept.data.astype(np.float32),
            settings.history_length,
            catalogue.ids.fingerprint,
        )

    def propose(self, query: RetrievalQuery, k: int) -> Proposals:
        return best_first(*self._around(query), k, query.excluded)

    def score(self, query: RetrievalQuery, item_idx: ItemIdxArray) -> FloatArray:
        if not len(self._taste(query)):
            return np.full(len(item_idx), np.nan, np.float32)
        near, scores = self._around(query)
        position = np.searchsorted(near, item_idx)
        found = position < len(near)
        found[found] = near[position[found]] == item_idx[found]
        answer = np.zeros(len(item_idx), np.float32)
        answer[found] = scores[position[found]]
        return answer

    def because(self, query: RetrievalQuery, item_idx: int) -> int | None:
        """The item of the history that speaks most for the item given, None where none does."""
        best, best_weight = None, 0.0
        for source in self._taste(query):
            span = slice(self.starts[source], self.starts[source + 1])
            at = int(np.searchsorted(self.neighbours[span], item_idx))
            if at < len(self.neighbours[span]) and self.neighbours[span][at] == item_idx:
                weight = float(self.weights[span][at])
                if weight > best_weight:
                    best, best_weight = int(source), weight
        return best

    def _taste(self, query: RetrievalQuery) -> ItemIdxArray:
        items = query.taste_items(self.history_length)
        return items[items < len(self.starts) - 1]

    def _around(self, query: RetrievalQuery) -> tuple[ItemIdxArray, FloatArray]:
        """Every neighbour of the taste, in the order of its index, with its mean weight."""
        taste = self._taste(query)
        spans = [slice(self.starts[item], self.starts[item + 1]) for item in taste]
        if not spans:
            return np.empty(0, np.int32), np.empty(0, np.float32)
        near, position = np.unique(np.concatenate([self.neighbours[span] for span in spans]), return_inverse=True)
        weights = np.concatenate([self.weights[span] for span in spans])
        return near, (np.bincount(position, weights, len(near)) / len(taste)).astype(np.float32)

    def save(self, folder: Path) -> Meta:
        return save_artefact(
            folder,
            KIND,
            built_with={"catalogue ids": self.catalogue_fingerprint},
            arrays={"starts": self.starts, "neighbours": self.neighbours, "weights": self.weights},
            values={"history_length": self.history_length},
        )

    @classmethod
    def load(cls, folder: Path, catalogue: Catalogue) -> CovisitationGenerator:
        """Read what `save` wrote; raises ReleaseMismatch when it was fitted on other item ids."""
        meta = load_meta(folder, KIND)
        check_built_with(f"generator {folder}", meta, "catalogue ids", catalogue.ids.fingerprint)
        starts, neighbours, weights = (
            np.array(load_array(folder, name)) for name in ("starts", "neighbours", "weights")
        )
        return cls(starts, neighbours, weights, int(meta.values["history_length"]), catalogue.ids.fingerprint)


def _pair_counts(events: Events, n_items: int, window_hours: float) -> csr_matrix:
    """(n_items, n_items) for each pair of different items, the visits that hold both, weighted by 1 / sqrt(length)."""
    if not len(events):
        return csr_matrix((n_items, n_items), dtype=np.float32)
    begins = np.diff(events.user_idx, prepend=-1) != 0
    begins |= np.diff(events.event_ts, prepend=0) > window_hours * 3600
    visit = np.cumsum(begins) - 1
    held = csr_matrix((np.ones(len(events)), (visit, events.item_idx)), shape=(visit[-1] + 1, n_items))
    held.data[:] = 1  # an item touched twice in a visit is there once
    length = np.asarray(held.sum(axis=1)).ravel()
    pairs = csr_matrix(held.T @ held.multiply(1 / np.sqrt(length)[:, None]))
    pairs.setdiag(0)
    pairs.eliminate_zeros()
    return pairs


def _damped(pairs: csr_matrix, popularity_damping: float) -> csr_matrix:
    """Divide by how much the source is paired, and by the neighbour's own popularity as far as asked."""
    mass = np.asarray(pairs.sum(axis=0)).ravel() + SHRINKAGE
    damped = pairs.multiply((1 / mass ** (1 - popularity_damping))[:, None]).multiply(1 / mass**popularity_damping)
    return csr_matrix(damped)


def _nearest(weights: csr_matrix, n_neighbours: int) -> csr_matrix:
    """Each row's n_neighbours largest weights, equal ones in the order of the index; columns sorted."""
    rows = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
    order = np.lexsort((weights.indices, -weights.data, rows))
    place = np.arange(len(order)) - weights.indptr[rows[order]]
    kept = order[place < n_neighbours]
    nearest = csr_matrix((weights.data[kept], (rows[kept], weights.indices[kept])), shape=weights.shape)
    nearest.sort_indices()
    return nearest
