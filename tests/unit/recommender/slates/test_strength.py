from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.slates.strength import adapted_strength, doubt, narrowness


def test_narrowness_is_the_mean_cosine_of_the_pairs() -> None:
    comedy, drama = [1.0, 0.0], [0.0, 1.0]
    # Of three pairs, one is alike.
    assert narrowness(np.array([comedy, comedy, drama], np.float32)) == pytest.approx(1 / 3)
    assert narrowness(np.array([comedy, comedy], np.float32)) == 1
    assert narrowness(np.array([comedy, [-1.0, 0.0]], np.float32)) == 0


def test_fewer_than_two_items_are_neither_narrow_nor_wide() -> None:
    assert narrowness(np.ones((1, 2), np.float32)) is None


def test_a_ranker_is_sure_of_a_slate_that_stands_above_the_rest() -> None:
    assert doubt(np.array([1.0, 1.0, 0.0, 0.0]), 2) == 0
    assert doubt(np.array([1.0, 1.0, 1.0, 1.0, 0.0]), 2) == 1
    assert doubt(np.array([1.0, 0.9, 0.0]), 3) == 0  # there is nothing else to show
    assert doubt(np.zeros(4), 2) == 1


def test_the_strength_follows_the_mean_of_what_is_known() -> None:
    assert adapted_strength(0.8, 1.0, [0.25, 0.75, None]) == pytest.approx(0.8 * 0.5)
    assert adapted_strength(0.8, 0.5, [0.5]) == pytest.approx(0.8 * (1 - 0.5 * 0.5))
    assert adapted_strength(0.8, 1.0, [None]) == 0.8


@given(strength=st.floats(0, 1), adaptive=st.floats(0, 1), signs=st.lists(st.none() | st.floats(0, 1)))
def test_the_strength_is_never_more_than_wished_for(strength, adaptive, signs) -> None:
    adapted = adapted_strength(strength, adaptive, signs)
    assert strength * (1 - adaptive) - 1e-12 <= adapted <= strength + 1e-12
