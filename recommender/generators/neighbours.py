"""How item to item learns its neighbours: three ways to weigh pairs of items, and the nearest of each item.

The weights of all pairs are never in memory at once: they are multiplied out for some items at a time, and only the
nearest neighbours of each are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from contracts.calendar import SECONDS_PER_DAY
from contracts.settings.candidates import CovisitationSettings
from recommender.catalogue import Catalogue
from recommender.generators.item_to_item import ItemToItemGenerator, Pooling
from recommender.interactions import Interactions
from recommender.proposals import Proposals, best_first
from recommender.ragged import offsets_of, pair_keys, rows_of

# Mass added to an item's own: the few visits of a rare item would otherwise outshine everything.
SHRINKAGE = 5.0
NEXT_VISIT_SHRINKAGE = 10.0
# A pair in a long history says less than one in a short one: it is divided by the length to this power.
RECENT_LENGTH_POWER = 0.3
LASTING_LENGTH_POWER = 0.5
MOST_PAIRS_AT_ONCE = 8_000_000

Weights = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PairWeights:
    """How much each item speaks for each other: left @ right, its rows and then its columns multiplied by a scale.

    left: (n_items, n); right: (n, n_items); row_scale, column_scale: (n_items,), None for 1.
    """

    left: csr_matrix
    right: csr_matrix
    row_scale: Weights | None = None
    column_scale: Weights | None = None

    def nearest(self, n_neighbours: int) -> Proposals:
        """Each item's n_neighbours with the largest weights, equal ones in the order of the index; not itself."""
        parts = [self._nearest_of(rows, n_neighbours) for rows in self._portions()]
        lengths = np.concatenate([np.empty(0, np.int64), *(np.diff(part.offsets) for part in parts)])
        item_idx = np.concatenate([np.empty(0, np.int32), *(part.item_idx for part in parts)])
        scores = np.concatenate([np.empty(0, np.float32), *(part.scores for part in parts)])
        return Proposals(offsets_of(lengths), item_idx, scores)

    def _nearest_of(self, rows: slice, n_neighbours: int) -> Proposals:
        pairs = csr_matrix(self.left[rows] @ self.right)
        row, column, weight = rows_of(pairs.indptr), pairs.indices, pairs.data
        if self.row_scale is not None:
            weight = weight * self.row_scale[rows][row]
        if self.column_scale is not None:
            weight = weight * self.column_scale[column]
        others = (column != row + rows.start) & (weight > 0)
        return best_first(row[others], column[others], weight[others].astype(np.float32), pairs.shape[0], n_neighbours)

    def _portions(self) -> Iterator[slice]:
        """Rows that follow each other, so many that a table of their pairs is not too large."""
        n_items = self.right.shape[1]
        n_pairs = np.minimum((self.left != 0).astype(np.int64) @ np.diff(self.right.indptr), n_items)
        start, most = 0, 1
        for row, n in enumerate(n_pairs.tolist()):
            most = max(most, n)
            if row > start and (row + 1 - start) * most > MOST_PAIRS_AT_ONCE:
                yield slice(start, row)
                start, most = row, max(n, 1)
        if start < len(n_pairs):
            yield slice(start, len(n_pairs))


def generator_of_pairs(
    name: str, pairs: PairWeights, pooling: Pooling, catalogue: Catalogue, settings: CovisitationSettings
) -> ItemToItemGenerator:
    """The generator that keeps the nearest neighbours of each item."""
    nearest = pairs.nearest(settings.n_neighbours)
    in_order = np.argsort(pair_keys(nearest.rows, nearest.item_idx))
    return ItemToItemGenerator(
        name,
        nearest.offsets,
        nearest.item_idx[in_order],
        nearest.scores[in_order],
        pooling,
        settings.history_length,
        catalogue.ids.fingerprint,
    )


def fit_covisitation(
    interactions: Interactions, catalogue: Catalogue, as_of: float, settings: CovisitationSettings
) -> ItemToItemGenerator:
    """Neighbours are what the same people touched; an event of `decay_days` before as_of counts 1/e."""
    touched = interactions.touched(
        len(catalogue), np.exp(-interactions.ages(as_of) / (settings.decay_days * SECONDS_PER_DAY))
    )
    pairs = _similarity(touched, RECENT_LENGTH_POWER, settings.popularity_damping)
    return generator_of_pairs("covisitation", pairs, Pooling.MEAN, catalogue, settings)


def fit_covisitation_max(
    interactions: Interactions, catalogue: Catalogue, settings: CovisitationSettings
) -> ItemToItemGenerator:
    """Neighbours are what the same people ever touched."""
    touched = interactions.touched(len(catalogue), np.ones(len(interactions)))
    pairs = _similarity(touched, LASTING_LENGTH_POWER, settings.popularity_damping)
    return generator_of_pairs("covisitation_max", pairs, Pooling.MAX, catalogue, settings)


def fit_next_visit(
    interactions: Interactions, catalogue: Catalogue, as_of: float, settings: CovisitationSettings
) -> ItemToItemGenerator:
    """Neighbours are what people touched when they came back after a pause of `visit_gap_hours` or more."""
    n_items = len(catalogue)
    now, before = _visits(interactions, as_of, settings, n_items)
    popularity = np.bincount(interactions.item_idx, minlength=n_items) + NEXT_VISIT_SHRINKAGE
    pairs = PairWeights(csr_matrix(before.T), now, row_scale=1 / popularity)
    return generator_of_pairs("next_visit", pairs, Pooling.MEAN, catalogue, settings)


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


def _similarity(touched: csr_matrix, length_power: float, popularity_damping: float) -> PairWeights:
    """Co-occurrence, divided by the length of histories and the mass of both items.

    touched: (n_users, n_items). popularity_damping: how much of the division falls on the neighbour, the rest on the
    item it goes with.
    """
    length = np.maximum(np.diff(touched.indptr), 1)
    mass = np.asarray(touched.multiply(touched).sum(axis=0)).ravel() + SHRINKAGE
    return PairWeights(
        csr_matrix(touched.T),
        csr_matrix(touched.multiply(1 / length[:, None] ** length_power)),
        row_scale=1 / mass ** (1 - popularity_damping),
        column_scale=1 / mass**popularity_damping,
    )
