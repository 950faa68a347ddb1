"""EASE and the graph filter against their formulas, worked out at once and in plain matrices."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from contracts.errors import DataTooSmall
from contracts.settings.candidates import EaseSettings, GraphFilterSettings
from recommender.generators import dense_pairs, nearest_regression
from recommender.generators.dense_pairs import fit_ease, fit_graph_filter, nearest_of
from recommender.generators.item_to_item import ItemToItemGenerator
from recommender.interactions import Interactions
from tests.recommender_worlds import CHECKERBOARD_ITEMS, START, checkerboard, interactions

NOW = START.timestamp() + 40 * 86_400


def some_interactions() -> Interactions:
    """Nobody touches item 11."""
    rng = np.random.default_rng(5)
    return interactions(
        *((f"u{user}", item, day) for user in range(20) for day, item in enumerate(rng.choice(11, 5, replace=False)))
    )


def touched(events: Interactions) -> npt.NDArray[np.float64]:
    table = np.zeros((len(events.user_ids), CHECKERBOARD_ITEMS))
    table[events.user_idx, events.item_idx] = 1
    return table


def kept(weights: npt.NDArray[np.float64], n: int) -> npt.NDArray[np.float64]:
    """Of each row the n largest above 0, but for the item's own."""
    table = np.zeros_like(weights)
    for row in range(len(weights)):
        others = np.where(np.arange(len(weights)) == row, 0, weights[row])
        for column in np.argsort(-others, kind="stable")[:n]:
            table[row, column] = max(others[column], 0)
    return table


def neighbours_of(generator: ItemToItemGenerator) -> npt.NDArray[np.float64]:
    table = np.zeros((CHECKERBOARD_ITEMS, CHECKERBOARD_ITEMS))
    for item in range(CHECKERBOARD_ITEMS):
        near = slice(generator.starts[item], generator.starts[item + 1])
        table[item, generator.neighbours[near]] = generator.weights[near]
    return table


@pytest.mark.parametrize("at_once", [dense_pairs.MOST_PAIRS_AT_ONCE, 30])
def test_ease_is_the_closed_form_of_the_paper(at_once, monkeypatch):
    monkeypatch.setattr(dense_pairs, "MOST_PAIRS_AT_ONCE", at_once)  # two rows, and all of them
    events = some_interactions()
    fitted = fit_ease(
        events, checkerboard().catalogue, NOW, EaseSettings(regularization=3, decay_days=None, n_neighbours=4), 50
    )
    x = touched(events)
    p = np.linalg.inv(x.T @ x + 3 * np.eye(CHECKERBOARD_ITEMS))
    np.testing.assert_allclose(neighbours_of(fitted), kept(-p / np.diag(p), 4), rtol=1e-5, atol=1e-7)


POWERS = {"regularization_power": 1.0, "length_power": 0.5, "history_damping": -0.4, "neighbour_damping": 0.1}


def told_by_all(
    x: npt.NDArray[np.float64], settings: EaseSettings, regressors: list[list[int]]
) -> npt.NDArray[np.float64]:
    """What each item says for each other, by one regression for each item over those that it is told by."""
    mass = np.maximum(x.sum(axis=0), 1)
    x = x / x.sum(axis=1)[:, None] ** (settings.length_power / 2)
    gram, table = x.T @ x, np.zeros((x.shape[1], x.shape[1]))
    penalties = settings.regularization * mass**settings.regularization_power
    for item, by in enumerate(regressors):
        table[by, item] = np.linalg.solve(gram[np.ix_(by, by)] + np.diag(penalties[by]), gram[by, item])
    return table / mass[:, None] ** settings.history_damping / mass**settings.neighbour_damping


@pytest.mark.parametrize("powers", [{}, POWERS])
@pytest.mark.parametrize("at_once", [nearest_regression.MOST_NUMBERS_AT_ONCE, 1])
def test_ease_told_by_every_other_item_is_ease(powers, at_once, monkeypatch):
    monkeypatch.setattr(nearest_regression, "MOST_NUMBERS_AT_ONCE", at_once)  # all items, and one at a time
    settings = EaseSettings(regularization=3, decay_days=None, n_neighbours=12, **powers)
    events, n = some_interactions(), CHECKERBOARD_ITEMS
    as_published = fit_ease(events, checkerboard().catalogue, NOW, settings, 50)
    told = settings.model_copy(update={"n_regressors": n - 1})
    few = fit_ease(events, checkerboard().catalogue, NOW, told, 50)
    by_hand = told_by_all(touched(events), settings, [[i for i in range(n) if i != item] for item in range(n)])
    np.testing.assert_allclose(neighbours_of(as_published), kept(by_hand, n), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(neighbours_of(few), kept(by_hand, n), rtol=1e-5, atol=1e-7)


def test_ease_told_by_few_takes_those_that_go_with_an_item_most():
    events, n = some_interactions(), CHECKERBOARD_ITEMS
    settings = EaseSettings(regularization=3, decay_days=None, n_neighbours=12, n_regressors=4, **POWERS)
    x = touched(events)
    scaled = x / x.sum(axis=1)[:, None] ** 0.25
    nearness = (scaled.T @ scaled) / np.maximum(x.sum(axis=0), 1) ** 0.4  # of row j: by whom it is told
    regressors = [np.flatnonzero(row).tolist() for row in kept(nearness, 4)]
    assert max(map(len, regressors)) == 4
    assert regressors[11] == []  # nobody touched it
    fitted = fit_ease(events, checkerboard().catalogue, NOW, settings, 50)
    expected = kept(told_by_all(x, settings, regressors), n)
    np.testing.assert_allclose(neighbours_of(fitted), expected, rtol=1e-5, atol=1e-7)


def test_of_an_item_that_many_are_told_by_the_largest_weights_are_kept():
    events = some_interactions()
    settings = EaseSettings(regularization=3, decay_days=None, n_neighbours=12, n_regressors=8)
    every = neighbours_of(fit_ease(events, checkerboard().catalogue, NOW, settings, 50))
    narrow = settings.model_copy(update={"n_neighbours": 2})
    two = neighbours_of(fit_ease(events, checkerboard().catalogue, NOW, narrow, 50))
    assert ((every > 0).sum(axis=1) > 2).any()
    np.testing.assert_array_equal(two, kept(every, 2))


@pytest.mark.parametrize("smoothness", [0.0, 2.0])
def test_the_graph_filter_is_two_steps_and_the_smoothest_signals(smoothness):
    events = some_interactions()
    settings = GraphFilterSettings(dim=3, smoothness=smoothness, decay_days=None, n_neighbours=5)
    fitted = fit_graph_filter(events, checkerboard().catalogue, NOW, settings, 50)
    x = touched(events)
    mass = x.sum(axis=0)
    scale = 1 / np.sqrt(np.where(mass > 0, mass, np.inf))
    r = x / np.sqrt(x.sum(axis=1))[:, None] * scale
    u = np.linalg.svd(r)[2][:3].T
    weights = r.T @ r + smoothness * scale[:, None] * (u @ u.T) * np.sqrt(mass)
    np.testing.assert_allclose(neighbours_of(fitted), kept(weights, 5), rtol=1e-5, atol=1e-7)


def test_ease_counts_an_event_of_decay_days_ago_as_1_in_e():
    events, catalogue = interactions(("a", 0, 40), ("a", 1, 10)), checkerboard().catalogue
    fitted = fit_ease(events, catalogue, NOW, EaseSettings(regularization=1, decay_days=30, n_neighbours=4), 50)
    x = np.array([[1, np.exp(-1)]])
    p = np.linalg.inv(x.T @ x + np.eye(2))
    np.testing.assert_allclose(neighbours_of(fitted)[0, 1], -p[0, 1] / p[1, 1], rtol=1e-5)


def test_more_directions_than_there_are_people_are_refused():
    with pytest.raises(DataTooSmall, match="64 directions of 20 people by 12 items"):
        fit_graph_filter(some_interactions(), checkerboard().catalogue, NOW, GraphFilterSettings(), 50)


def test_of_equal_weights_the_first_items_are_kept():
    nearest = nearest_of(lambda rows: np.ones((rows.stop - rows.start, 6)), 6, 2)
    assert nearest.item_idx.tolist() == [1, 2, 0, 2, 0, 1, 0, 1, 0, 1, 0, 1]
