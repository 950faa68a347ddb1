"""How item to item learns its neighbours: three ways to weigh pairs of items."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix

from contracts.calendar import SECONDS_PER_DAY
from contracts.events import EVENT_CODES, EventType
from contracts.settings.candidates import CovisitationSettings, ItemToItemSettings
from recommender.catalogue import Catalogue
from recommender.generators.item_to_item import ItemToItemGenerator, Pooling
from recommender.generators.pair_weights import PairWeights, TouchedBy, VisitsAfter, Weights
from recommender.interactions import Interactions
from recommender.proposals import Proposals
from recommender.ragged import pair_keys

# Mass added to an item's own: the few visits of a rare item would otherwise outshine everything.
SHRINKAGE = 5.0
NEXT_VISIT_SHRINKAGE = 10.0
# A pair in a long history says less than one in a short one: it is divided by the length to this power.
RECENT_LENGTH_POWER = 0.3
LASTING_LENGTH_POWER = 0.5


def generator_of_nearest(
    name: str, nearest: Proposals, pooling: Pooling, catalogue: Catalogue, history_length: int, step_weight: float = 1.0
) -> ItemToItemGenerator:
    """The generator of these neighbours of each item."""
    in_order = np.argsort(pair_keys(nearest.rows, nearest.item_idx))
    return ItemToItemGenerator(
        name,
        nearest.offsets,
        nearest.item_idx[in_order],
        nearest.scores[in_order],
        pooling,
        history_length,
        catalogue.ids.fingerprint,
        step_weight,
    )


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
    return generator_of_nearest(name, nearest, pooling, catalogue, settings.history_length, step_weight)


def fit_covisitation(
    interactions: Interactions, catalogue: Catalogue, as_of: float, settings: CovisitationSettings
) -> ItemToItemGenerator:
    """Neighbours are what the same people touched; an event of `decay_days` before as_of counts 1/e."""
    own = ItemToItemSettings(decay_days=settings.decay_days, step_weight=settings.step_weight)
    return fit_item_to_item("covisitation", interactions, catalogue, as_of, settings, own)


def fit_covisitation_max(
    interactions: Interactions, catalogue: Catalogue, settings: CovisitationSettings
) -> ItemToItemGenerator:
    """Neighbours are what the same people ever touched."""
    own = ItemToItemSettings(pooling="max")
    return fit_item_to_item("covisitation_max", interactions, catalogue, 0, settings, own)


def fit_item_to_item(
    name: str,
    interactions: Interactions,
    catalogue: Catalogue,
    as_of: float,
    settings: CovisitationSettings,
    own: ItemToItemSettings,
) -> ItemToItemGenerator:
    """Neighbours are what the same people touched; settings: of all item to item, own: of this one.

    Where event types are named, an item's neighbours are what people did `to_events` with who did `from_events` with
    the item.
    """
    pooling = Pooling(own.pooling)
    power = LASTING_LENGTH_POWER if pooling is Pooling.MAX else RECENT_LENGTH_POWER
    given = _touched(interactions, len(catalogue), as_of, own.decay_days, own.from_events)
    taken = given
    if own.to_events != own.from_events:
        taken = _touched(interactions, len(catalogue), as_of, own.decay_days, own.to_events)
    pairs = _similarity(given, taken, power, settings.popularity_damping)
    return generator_of_pairs(name, pairs, pooling, catalogue, settings, own.step_weight)


def _touched(
    interactions: Interactions,
    n_items: int,
    as_of: float,
    decay_days: float | None,
    events: Sequence[EventType] | None,
) -> csr_matrix:
    """(n_users, n_items) how much each person's events of these types (None: of all) say of each item."""
    weights = np.ones(len(interactions))
    if decay_days is not None:
        weights = np.exp(-interactions.ages(as_of) / (decay_days * SECONDS_PER_DAY))
    if events is None:
        return interactions.touched(n_items, weights)
    is_of_them = np.isin(interactions.event_types, [EVENT_CODES[event] for event in events])
    touched = interactions.touched(n_items, np.where(is_of_them, weights, 0))
    touched.eliminate_zeros()
    return touched


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


def _similarity(given: csr_matrix, taken: csr_matrix, length_power: float, popularity_damping: float) -> PairWeights:
    """Co-occurrence, divided by the length of histories and the mass of both items.

    given, taken: (n_users, n_items) what was done with the item that speaks, and with the neighbour.
    popularity_damping: how much of the division falls on the neighbour, the rest on the item it goes with.
    """
    length = np.maximum(np.diff(taken.indptr), 1)
    return PairWeights(
        TouchedBy(csr_matrix(given.T)),
        csr_matrix(taken.multiply(1 / length[:, None] ** length_power)),
        row_scale=1 / _mass(given) ** (1 - popularity_damping),
        column_scale=1 / _mass(taken) ** popularity_damping,
    )


def _mass(touched: csr_matrix) -> Weights:
    """(n_items,) of each item."""
    return np.asarray(touched.multiply(touched).sum(axis=0)).ravel() + SHRINKAGE
