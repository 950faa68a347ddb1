"""Item to item: what goes with the items of a history. One way to propose, three ways to learn the neighbours.

covisitation        people who touched this touched that, of late; the mean over the history
covisitation_max    the same over all time; the one item of the history that speaks most for a candidate
next_visit          people who touched this came back for that
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from contracts.artefact import REBUILD, Meta, check_built_with, load_array, load_meta, save_artefact
from contracts.calendar import SECONDS_PER_DAY
from contracts.errors import ArtefactError
from contracts.ids import FloatArray, ItemIdxArray
from contracts.settings.candidates import CovisitationSettings
from recommender.catalogue import Catalogue
from recommender.interactions import Interactions
from recommender.proposals import Proposals, best_first
from recommender.query import RetrievalQuery, no_items

# Mass added to an item's own: the few visits of a rare item would otherwise outshine everything.
SHRINKAGE = 5.0
NEXT_VISIT_SHRINKAGE = 10.0
# A pair in a long history says less than one in a short one: it is divided by the length to this power.
RECENT_LENGTH_POWER = 0.3
LASTING_LENGTH_POWER = 0.5


class Pooling(StrEnum):
    """How the items of a history speak together."""

    MEAN = "mean"
    MAX = "max"


@dataclass(frozen=True)
class ItemToItemGenerator:
    """What goes with the items of a history.

    The neighbours of item i, in the order of their index, are neighbours[starts[i]:starts[i+1]]; weights > 0.

    Item 0 goes with item 2, and a little with item 1:

    >>> generator = ItemToItemGenerator(
    ...     name="covisitation",
    ...     starts=np.array([0, 2, 2, 2]),
    ...     neighbours=np.array([1, 2], np.int32),
    ...     weights=np.array([0.1, 0.7], np.float32),
    ...     pooling=Pooling.MEAN,
    ...     history_length=10,
    ...     catalogue_fingerprint="ids of three items",
    ... )
    >>> generator.propose(RetrievalQuery(now=0, anchor=0), k=2).item_idx.tolist()
    [2, 1]
    """

    name: str
    starts: npt.NDArray[np.int64]
    neighbours: ItemIdxArray
    weights: FloatArray
    pooling: Pooling
    history_length: int
    catalogue_fingerprint: str

    @classmethod
    def of_pairs(
        cls, name: str, pairs: csr_matrix, pooling: Pooling, catalogue: Catalogue, settings: CovisitationSettings
    ) -> ItemToItemGenerator:
        """Keep the nearest neighbours of each row of pairs: (n_items, n_items), row i holds what i speaks for."""
        kept = _nearest(pairs, settings.n_neighbours)
        return cls(
            name,
            kept.indptr.astype(np.int64),
            kept.indices.astype(np.int32),
            kept.data.astype(np.float32),
            pooling,
            settings.history_length,
            catalogue.ids.fingerprint,
        )

    def propose(self, query: RetrievalQuery, k: int) -> Proposals:
        scores = self._pooled(self._taste(query))
        near = np.flatnonzero(scores).astype(np.int32)
        return best_first(near, scores[near], k, query.excluded)

    def score(self, query: RetrievalQuery, item_idx: ItemIdxArray) -> FloatArray:
        taste = self._taste(query)
        if not len(taste):
            return np.full(len(item_idx), np.nan, np.float32)
        return self._pooled(taste)[item_idx]

    def because(self, query: RetrievalQuery, item_idx: int) -> int | None:
        """The item of the history that speaks most for the item given; the latest of equals, None where none does."""
        best, best_weight = None, 0.0
        for source in self._taste(query):
            span = slice(self.starts[source], self.starts[source + 1])
            at = int(np.searchsorted(self.neighbours[span], item_idx))
            if at < len(self.neighbours[span]) and self.neighbours[span][at] == item_idx:
                weight = float(self.weights[span][at])
                if weight >= best_weight:
                    best, best_weight = int(source), weight
        return best

    def _taste(self, query: RetrievalQuery) -> ItemIdxArray:
        items = query.taste_items(self.history_length)
        return items[items < len(self.starts) - 1]

    def _pooled(self, taste: ItemIdxArray) -> FloatArray:
        """(n_items,) what the items of the taste say together, 0 where they say nothing."""
        n_items = len(self.starts) - 1
        spans = [slice(self.starts[item], self.starts[item + 1]) for item in taste]
        if not spans:
            return np.zeros(n_items, np.float32)
        near = np.concatenate([self.neighbours[span] for span in spans])
        weights = np.concatenate([self.weights[span] for span in spans])
        if self.pooling is Pooling.MEAN:
            return (np.bincount(near, weights, n_items) / len(taste)).astype(np.float32)
        pooled = np.zeros(n_items, np.float32)
        np.maximum.at(pooled, near, weights)
        return pooled

    def save(self, folder: Path) -> Meta:
        return save_artefact(
            folder,
            f"generator-{self.name}",
            built_with={"catalogue ids": self.catalogue_fingerprint},
            arrays={"starts": self.starts, "neighbours": self.neighbours, "weights": self.weights},
            values={"history_length": self.history_length, "pooling": self.pooling},
        )

    @classmethod
    def load(cls, folder: Path, catalogue: Catalogue, name: str) -> ItemToItemGenerator:
        """Read what `save` wrote; raises ReleaseMismatch when it was fitted on other item ids."""
        meta = load_meta(folder, f"generator-{name}")
        check_built_with(f"generator {folder}", meta.built_with, "catalogue ids", catalogue.ids.fingerprint)
        starts = load_array(folder, "starts", np.int64, (len(catalogue) + 1,))
        neighbours = load_array(folder, "neighbours", np.int32, (None,))
        _check_spans(folder, starts, neighbours, len(catalogue))
        return cls(
            name,
            starts,
            neighbours,
            load_array(folder, "weights", np.float32, (len(neighbours),)),
            Pooling(meta.values["pooling"]),
            int(meta.values["history_length"]),
            catalogue.ids.fingerprint,
        )


def _check_spans(folder: Path, starts: npt.NDArray[np.int64], neighbours: ItemIdxArray, n_items: int) -> None:
    """Refuse neighbours that are no items: pooling takes memory for the largest index it meets."""
    in_order = starts[0] == 0 and starts[-1] == len(neighbours) and bool((np.diff(starts) >= 0).all())
    if not in_order or (len(neighbours) and not 0 <= neighbours.min() <= neighbours.max() < n_items):
        raise ArtefactError(
            f"{folder} is damaged: its {len(neighbours)} neighbours are not all of the {n_items} items, or of one item "
            "after the other.",
            REBUILD,
        )


def fit_covisitation(
    interactions: Interactions, catalogue: Catalogue, as_of: float, settings: CovisitationSettings
) -> ItemToItemGenerator:
    """Neighbours are what the same people touched; an event of `decay_days` before as_of counts 1/e."""
    touched = interactions.touched(
        len(catalogue), np.exp(-interactions.ages(as_of) / (settings.decay_days * SECONDS_PER_DAY))
    )
    pairs = _similarity(touched, RECENT_LENGTH_POWER, settings.popularity_damping)
    return ItemToItemGenerator.of_pairs("covisitation", pairs, Pooling.MEAN, catalogue, settings)


def fit_covisitation_max(
    interactions: Interactions, catalogue: Catalogue, settings: CovisitationSettings
) -> ItemToItemGenerator:
    """Neighbours are what the same people ever touched."""
    touched = interactions.touched(len(catalogue), np.ones(len(interactions)))
    pairs = _similarity(touched, LASTING_LENGTH_POWER, settings.popularity_damping)
    return ItemToItemGenerator.of_pairs("covisitation_max", pairs, Pooling.MAX, catalogue, settings)


def fit_next_visit(
    interactions: Interactions, catalogue: Catalogue, as_of: float, settings: CovisitationSettings
) -> ItemToItemGenerator:
    """Neighbours are what people touched when they came back after a pause of `visit_gap_hours` or more."""
    n_items = len(catalogue)
    now, before = _visits(interactions, as_of, settings, n_items)
    pairs = csr_matrix(before.T @ now)
    popularity = np.bincount(interactions.item_idx, minlength=n_items) + NEXT_VISIT_SHRINKAGE
    pairs = csr_matrix(pairs.multiply(1 / popularity[:, None]))
    return ItemToItemGenerator.of_pairs("next_visit", pairs, Pooling.MEAN, catalogue, settings)


def _visits(
    interactions: Interactions, as_of: float, settings: CovisitationSettings, n_items: int
) -> tuple[csr_matrix, csr_matrix]:
    """(n_visits, n_items) twice: what each visit touched, and what the person had touched before it, weighted.

    A visit's weight falls with its age, and is shared among the earlier items by the root of their number.
    """
    starts = interactions.visit_starts(settings.visit_gap_hours * 3600)
    visit = np.cumsum(starts) - 1
    n_visits = int(visit[-1]) + 1 if len(visit) else 0
    now = csr_matrix((np.ones(len(interactions)), (visit, interactions.item_idx)), shape=(n_visits, n_items))
    ages = np.bincount(visit, interactions.ages(as_of), n_visits) / np.maximum(
        np.bincount(visit, minlength=n_visits), 1
    )
    first_event = np.flatnonzero(starts)
    n_before = first_event - interactions.bounds[interactions.user_idx[first_event]]
    rows = np.repeat(np.arange(n_visits), n_before)
    # The events before a visit are those between the person's first and the visit's first.
    earlier = np.arange(len(rows)) - np.repeat(np.cumsum(n_before) - first_event, n_before)
    weight = np.exp(-ages / (settings.decay_days * SECONDS_PER_DAY)) / np.sqrt(np.maximum(n_before, 1))
    before = csr_matrix((weight[rows], (rows, interactions.item_idx[earlier])), shape=(n_visits, n_items))
    return now, before


def _similarity(touched: csr_matrix, length_power: float, popularity_damping: float) -> csr_matrix:
    """(n_items, n_items) co-occurrence, divided by the length of histories and the mass of both items; no diagonal.

    popularity_damping: how much of the division falls on the neighbour, the rest on the item it goes with.
    """
    length = np.maximum(np.diff(touched.indptr), 1)
    pairs = csr_matrix(touched.T @ touched.multiply(1 / length[:, None] ** length_power))
    mass = np.asarray(touched.multiply(touched).sum(axis=0)).ravel() + SHRINKAGE
    pairs = pairs.multiply(1 / mass[:, None] ** (1 - popularity_damping)).multiply(1 / mass**popularity_damping)
    return csr_matrix(pairs)


def _nearest(pairs: csr_matrix, n_neighbours: int) -> csr_matrix:
    """Each row's n_neighbours largest weights, equal ones in the order of the index; no diagonal, columns sorted."""
    columns, weights = [no_items()], [np.empty(0, np.float32)]
    starts = np.zeros(pairs.shape[0] + 1, np.int64)
    for row in range(pairs.shape[0]):
        span = slice(pairs.indptr[row], pairs.indptr[row + 1])
        others = (pairs.indices[span] != row) & (pairs.data[span] > 0)
        near, weight = pairs.indices[span][others], pairs.data[span][others].astype(np.float32)
        kept = best_first(near, weight, n_neighbours, no_items())
        in_order = np.argsort(kept.item_idx)
        columns.append(kept.item_idx[in_order])
        weights.append(kept.scores[in_order])
        starts[row + 1] = starts[row] + len(kept)
    return csr_matrix((np.concatenate(weights), np.concatenate(columns), starts), shape=pairs.shape)
