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
from recommender.generators.pair_weights import PairWeights, StepsApart, TouchedBy, VisitsAfter, Weights
from recommender.interactions import Interactions
from recommender.proposals import Proposals
from recommender.ragged import pair_keys

# Mass added to an item's own: the few visits of a rare item would otherwise outshine everything.
SHRINKAGE = 5.0
NEXT_VISIT_SHRINKAGE = 10.0
# A pair in a long history says less than one in a short one: it is divided by the length to this power.
RECENT_LENGTH_POWER = 0.3
LASTING_LENGTH_POWER = 0.5
LEAST_APART = 1e-3  # a pair that counts less, for the steps between, is not looked at


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
    pooling, n_items = Pooling(own.pooling), len(catalogue)
    given_weights = _event_weights(interactions, as_of, own.decay_days, own.from_events)
    taken_weights = _event_weights(interactions, as_of, own.decay_days, own.to_events)
    given = taken = _touched(interactions, n_items, given_weights, own.from_events)
    if own.to_events != own.from_events:
        taken = _touched(interactions, n_items, taken_weights, own.to_events)
    scales = _damping(given, taken, own, settings.popularity_damping)
    if own.apart_weight == own.before_weight == 1:
        pairs = _co_occurrence(given, taken, _length_power(own), *scales)
    else:
        pairs = _in_order(interactions, given_weights, taken_weights, taken, own, *scales)
    return generator_of_pairs(name, pairs, pooling, catalogue, settings, own.step_weight)


def _length_power(own: ItemToItemSettings) -> float:
    if own.length_power is not None:
        return own.length_power
    return LASTING_LENGTH_POWER if Pooling(own.pooling) is Pooling.MAX else RECENT_LENGTH_POWER


def _event_weights(
    interactions: Interactions, as_of: float, decay_days: float | None, events: Sequence[EventType] | None
) -> Weights:
    """(n_events,) how much each event says; 0 for one of another type than these (None: all)."""
    weights = np.ones(len(interactions))
    if decay_days is not None:
        weights = np.exp(-interactions.ages(as_of) / (decay_days * SECONDS_PER_DAY))
    if events is None:
        return weights
    return np.where(np.isin(interactions.event_types, [EVENT_CODES[event] for event in events]), weights, 0)


def _touched(
    interactions: Interactions, n_items: int, weights: Weights, events: Sequence[EventType] | None
) -> csr_matrix:
    """(n_users, n_items) how much each person's events of these types (None: of all) say of each item."""
    touched = interactions.touched(n_items, weights)
    if events is not None:
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


def _co_occurrence(
    given: csr_matrix, taken: csr_matrix, length_power: float, row_scale: Weights, column_scale: Weights
) -> PairWeights:
    """Who did the one and the other, divided by the length of histories; the scales are of both items.

    given, taken: (n_users, n_items) what was done with the item that speaks, and with the neighbour.
    """
    right = csr_matrix(taken.multiply(1 / _lengths(taken)[:, None] ** length_power))
    return PairWeights(TouchedBy(csr_matrix(given.T)), right, row_scale, column_scale)


def _in_order(
    interactions: Interactions,
    given_weights: Weights,
    taken_weights: Weights,
    taken: csr_matrix,
    own: ItemToItemSettings,
    row_scale: Weights,
    column_scale: Weights,
) -> PairWeights:
    """The same of events in their order: a pair counts by the steps between, and by which came first."""
    n_events, n_items = len(interactions), len(row_scale)
    reach = n_events
    if own.apart_weight < 1:
        reach = 1 + int(np.log(LEAST_APART) / np.log(own.apart_weight))
    in_order = np.argsort(interactions.item_idx, kind="stable")
    of_person = interactions.user_idx[in_order]
    left = StepsApart(
        np.searchsorted(interactions.item_idx[in_order], np.arange(n_items + 1)),
        in_order,
        np.maximum(interactions.bounds[of_person], in_order - reach) if own.before_weight > 0 else in_order,
        np.minimum(interactions.bounds[of_person + 1], in_order + reach + 1),
        given_weights[in_order],
        own.apart_weight,
        own.before_weight,
    )
    shares = taken_weights / (_lengths(taken) ** _length_power(own))[interactions.user_idx]
    right = csr_matrix((shares, interactions.item_idx, np.arange(n_events + 1)), (n_events, n_items))
    return PairWeights(left, right, row_scale, column_scale)


def _lengths(touched: csr_matrix) -> Weights:
    """(n_users,) how many items each person touched; 1 for none."""
    return np.asarray(np.maximum(np.diff(touched.indptr), 1))


def _damping(
    given: csr_matrix, taken: csr_matrix, own: ItemToItemSettings, popularity_damping: float
) -> tuple[Weights, Weights]:
    """What pairs are multiplied by for the mass of the item of the history, and of the neighbour.

    popularity_damping: how much of the division falls on the neighbour, the rest on the item it goes with.
    """
    of_history, of_neighbour = own.history_damping, own.neighbour_damping
    of_history = 1 - popularity_damping if of_history is None else of_history
    of_neighbour = popularity_damping if of_neighbour is None else of_neighbour
    return 1 / _mass(given) ** of_history, 1 / _mass(taken) ** of_neighbour


def _mass(touched: csr_matrix) -> Weights:
    """(n_items,) of each item."""
    return np.asarray(touched.multiply(touched).sum(axis=0)).ravel() + SHRINKAGE
