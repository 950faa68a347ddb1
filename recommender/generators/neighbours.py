"""How item to item learns its neighbours: three ways to weigh pairs of items."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from contracts.calendar import SECONDS_PER_DAY
from contracts.settings.candidates import CovisitationSettings
from recommender.catalogue import Catalogue
from recommender.generators.item_to_item import ItemToItemGenerator, Pooling
from recommender.generators.pair_weights import PairWeights, TouchedBy, VisitsAfter
from recommender.interactions import Interactions
from recommender.ragged import pair_keys

# Mass added to an item's own: the few visits of a rare item would otherwise outshine everything.
SHRINKAGE = 5.0
NEXT_VISIT_SHRINKAGE = 10.0
# A pair in a long history says less than one in a short one: it is divided by the length to this power.
RECENT_LENGTH_POWER = 0.3
LASTING_LENGTH_POWER = 0.5


def generator_of_pairs(
    name: str,
    pairs: PairWeights,
    pooling: Pooling,
    catalogue: Catalogue,
    settings: CovisitationSettings,
    step_weight: float = 1.0,
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
        step_weight,
    )


def fit_covisitation(
    interactions: Interactions, catalogue: Catalogue, as_of: float, settings: CovisitationSettings
) -> ItemToItemGenerator:
    """Neighbours are what the same people touched; an event of `decay_days` before as_of counts 1/e."""
    touched = interactions.touched(
        len(catalogue), np.exp(-interactions.ages(as_of) / (settings.decay_days * SECONDS_PER_DAY))
    )
    pairs = _similarity(touched, RECENT_LENGTH_POWER, settings.popularity_damping)
    return generator_of_pairs("covisitation", pairs, Pooling.MEAN, catalogue, settings, settings.step_weight)


def fit_covisitation_max(
    interactions: Interactions, catalogue: Catalogue, settings: CovisitationSettings
) -> ItemToItemGenerator:
    """Neighbours are what the same people ever touched."""
    touched = interactions.touched(len(catalogue), np.ones(len(interactions)))
    pairs = _similarity(touched, LASTING_LENGTH_POWER, settings.popularity_damping)
    return generator_of_pairs("covisitation_max", pairs, Pooling.MAX, catalogue, settings)


def fit_next_visit(
    interactions: Interactions,
    catalogue: Catalogue,
    as_of: float,
    settings: CovisitationSettings,
    step_weight: float = 1.0,
) -> ItemToItemGenerator:
    """Neighbours are what people touched when they came back after a pause of `visit_gap_hours` or more."""
    n_items = len(catalogue)
    popularity = np.bincount(interactions.item_idx, minlength=n_items) + NEXT_VISIT_SHRINKAGE
    pairs = PairWeights(*_visits(interactions, as_of, settings, n_items), row_scale=1 / popularity)
    return generator_of_pairs("next_visit", pairs, Pooling.MEAN, catalogue, settings, step_weight)


def _visits(
    interactions: Interactions, as_of: float, settings: CovisitationSettings, n_items: int
) -> tuple[VisitsAfter, csr_matrix]:
    """Which visits came after each item was touched, weighted; and (n_visits, n_items) what each of them touched.

    A visit's weight falls with its age, and is shared among the earlier items by the root of their number.
    """
    starts, user_idx, item_idx = (
        interactions.visit_starts(settings.visit_gap_hours * 3600),
        interactions.user_idx,
        interactions.item_idx,
    )
    visit = np.cumsum(starts) - 1
    first_event = np.flatnonzero(starts)
    n_visits = len(first_event)
    now = csr_matrix((np.ones(len(interactions)), (visit, item_idx)), shape=(n_visits, n_items))
    lengths = np.diff(first_event, append=len(interactions))
    ages = np.bincount(visit, interactions.ages(as_of), n_visits) / lengths
    n_before = first_event - interactions.bounds[user_idx[first_event]]
    weights = np.exp(-ages / (settings.decay_days * SECONDS_PER_DAY)) / np.sqrt(np.maximum(n_before, 1))
    in_order = np.argsort(item_idx, kind="stable")
    end = np.searchsorted(user_idx[first_event], user_idx, side="right")  # the person's last visit, and one
    by_item = np.searchsorted(item_idx[in_order], np.arange(n_items + 1))
    return VisitsAfter(by_item, visit[in_order] + 1, end[in_order], weights), now


def _similarity(touched: csr_matrix, length_power: float, popularity_damping: float) -> PairWeights:
    """Co-occurrence, divided by the length of histories and the mass of both items.

    touched: (n_users, n_items). popularity_damping: how much of the division falls on the neighbour, the rest on the
    item it goes with.
    """
    length = np.maximum(np.diff(touched.indptr), 1)
    mass = np.asarray(touched.multiply(touched).sum(axis=0)).ravel() + SHRINKAGE
    return PairWeights(
        TouchedBy(csr_matrix(touched.T)),
        csr_matrix(touched.multiply(1 / length[:, None] ** length_power)),
        row_scale=1 / mass ** (1 - popularity_damping),
        column_scale=1 / mass**popularity_damping,
    )
