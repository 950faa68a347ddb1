from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.settings.diversity import DiversitySettings
from contracts.tables import ITEMS_SCHEMA
from recommender.catalogue import Catalogue
from recommender.slates.diversification import N_COMPETING, Diversification
from recommender.slates.relevance import relevance_loss, scaled_relevance

N_ITEMS = 60
GENRES = ("comedy", "drama", "horror", "western")
NOTHING = np.empty(0, np.int32)


def made_up_catalogue(seed: int = 0, n_items: int = N_ITEMS) -> Catalogue:
    """Items of no to three genres, a third of them without a text."""
    rng = np.random.default_rng(seed)
    genres = [rng.choice(GENRES, rng.integers(0, 4), replace=False).tolist() for _ in range(n_items)]
    items = pl.DataFrame({"item_id": [f"i{item:03}" for item in range(n_items)], "categories": genres})
    content = rng.normal(size=(n_items, 12)).astype(np.float32)
    content /= np.linalg.norm(content, axis=1, keepdims=True)
    content[::3] = 0
    return Catalogue.from_items(pl.concat([ITEMS_SCHEMA.to_frame(), items], how="diagonal_relaxed"), content)


def of_genres(*genres: str) -> Catalogue:
    """An item of each of these genres, in their order."""
    items = pl.DataFrame(
        {"item_id": [f"i{item:03}" for item in range(len(genres))], "categories": [[g] for g in genres]}
    )
    return Catalogue.from_items(pl.concat([ITEMS_SCHEMA.to_frame(), items], how="diagonal_relaxed"))


def rule(catalogue: Catalogue, **settings: Any) -> Diversification:
    return Diversification(catalogue, DiversitySettings(**{"max_relevance_loss": 1.0, **settings}))


OVER = st.sampled_from(["categories", "content", "both"])
ALL_SETTINGS = st.one_of(
    st.fixed_dictionaries({"method": st.sampled_from(["mmr", "dpp"]), "over": OVER}),
    st.just({"method": "calibration"}),
)


@given(
    made_with=ALL_SETTINGS,
    seed=st.integers(0, 10_000),
    n=st.integers(0, N_ITEMS),
    k=st.integers(1, 15),
    n_history=st.integers(0, 8),
    strength=st.floats(0, 1),
    adaptive=st.floats(0, 1),
    max_loss=st.floats(0, 0.5),
)
def test_every_slate_is_of_k_different_candidates_and_within_its_loss(
    made_with, seed, n, k, n_history, strength, adaptive, max_loss
) -> None:
    rng, catalogue = np.random.default_rng(seed), made_up_catalogue()
    item_idx = rng.permutation(N_ITEMS)[:n].astype(np.int32)
    scores = -np.sort(-rng.normal(size=n)).astype(np.float32)
    history = rng.integers(-1, N_ITEMS, n_history).astype(np.int32)
    of_rule = rule(catalogue, strength=strength, adaptive=adaptive, max_relevance_loss=max_loss, **made_with)
    choice = of_rule.choose(item_idx, scores, history, k)
    assert len(set(choice.places.tolist())) == len(choice.places) == min(k, n)
    assert set(choice.places.tolist()) <= set(range(n))
    assert relevance_loss(scaled_relevance(scores), choice.places) <= max_loss
    assert 0 <= choice.strength <= strength


@pytest.mark.parametrize("method", ["mmr", "dpp"])
def test_items_of_one_category_do_not_follow_each_other_where_that_is_wished_for(method) -> None:
    catalogue = of_genres("comedy", "comedy", "comedy", "drama", "drama")
    scores = np.array([5, 4, 3, 2, 1], np.float32)
    choice = rule(catalogue, method=method, strength=0.5).choose(np.arange(5, dtype=np.int32), scores, NOTHING, 2)
    assert choice.places.tolist() == [0, 3]


def test_a_calibrated_slate_goes_by_the_history_and_without_one_by_the_scores() -> None:
    catalogue = of_genres("comedy", "comedy", "comedy", "drama", "drama")
    scores, items = np.array([5, 4, 3, 2, 1], np.float32), np.arange(5, dtype=np.int32)
    calibrated = rule(catalogue, method="calibration", strength=0.9)
    assert calibrated.choose(items, scores, np.array([0, -1, 3], np.int32), 2).places.tolist() == [0, 3]
    assert calibrated.choose(items, scores, np.array([0, -1, 1], np.int32), 2).places.tolist() == [0, 1]
    assert calibrated.choose(items, scores, np.array([-1], np.int32), 2).places.tolist() == [0, 1]


def test_a_narrow_history_is_met_with_more_strength_than_a_wide_one() -> None:
    catalogue = of_genres(*["comedy"] * 6, *["drama"] * 6)
    items, scores = np.arange(12, dtype=np.int32), np.linspace(1, 0, 12).astype(np.float32)
    adapting = rule(catalogue, method="mmr", strength=0.6, adaptive=1.0)
    narrow, wide = np.array([0, 1, 2, 3], np.int32), np.array([0, 6, 1, 7], np.int32)
    strengths = [adapting.choose(items, scores, history, 4).strength for history in (narrow, wide, NOTHING)]
    assert strengths[0] > strengths[1]
    assert all(0 < strength < 0.6 for strength in strengths)


def test_a_sure_ranker_is_left_alone_more_than_an_unsure_one() -> None:
    catalogue = of_genres(*["comedy", "drama"] * 6)
    items, adapting = np.arange(12, dtype=np.int32), rule(catalogue, method="mmr", strength=0.6, adaptive=1.0)
    sure = np.array([9, 9, 9, 9, *[1] * 7, 0], np.float32)
    unsure = np.array([*[9] * 11, 0], np.float32)
    assert adapting.choose(items, sure, NOTHING, 4).strength < adapting.choose(items, unsure, NOTHING, 4).strength


def test_what_is_far_behind_does_not_compete() -> None:
    n = N_COMPETING + 50
    catalogue = of_genres(*["comedy"] * (n - 1), "drama")
    scores = np.linspace(1, 0, n).astype(np.float32)
    choice = rule(catalogue, method="mmr", strength=1.0).choose(np.arange(n, dtype=np.int32), scores, NOTHING, 10)
    assert choice.places.max() < N_COMPETING


@pytest.mark.parametrize("method", ["mmr", "dpp", "calibration"])
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")  # NumPy's, of infinity less infinity
def test_scores_that_are_no_numbers_leave_the_order_as_it_is(method, odd) -> None:
    catalogue = of_genres("comedy", "comedy", "drama")
    scores, items = np.array([3, 2, odd], np.float32), np.arange(3, dtype=np.int32)
    choice = rule(catalogue, method=method, strength=0.9).choose(items, scores, items, 2)
    assert (choice.places.tolist(), choice.loss) == ([0, 1], 0)
