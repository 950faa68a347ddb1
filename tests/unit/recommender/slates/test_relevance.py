from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.slates.relevance import N_HALVINGS, relevance_loss, scaled_relevance, within_loss

RELEVANCE = np.array([1.0, 0.75, 0.25, 0.0])


def test_scores_are_scaled_from_the_worst_to_the_best() -> None:
    assert scaled_relevance(np.array([9, 7, 5], np.float32)).tolist() == [1, 0.5, 0]
    assert scaled_relevance(np.array([3, 3], np.float32)).tolist() == [0, 0]
    assert scaled_relevance(np.empty(0, np.float32)).tolist() == []


def test_the_loss_is_what_the_discounted_sum_lacks() -> None:
    own, other = 1 / 1 + 0.75 / np.log2(3), 1 / 1 + 0.25 / np.log2(3)
    assert relevance_loss(RELEVANCE, np.array([0, 2])) == pytest.approx(1 - other / own)
    assert relevance_loss(RELEVANCE, np.array([1, 0])) == pytest.approx(1 - (0.75 / 1 + 1 / np.log2(3)) / own)
    assert relevance_loss(RELEVANCE, np.array([0, 1])) == 0
    assert relevance_loss(RELEVANCE, np.array([3])) == 1


def test_where_no_candidate_is_better_than_another_nothing_is_lost() -> None:
    assert relevance_loss(np.zeros(3), np.array([2, 1])) == 0


def test_a_slate_within_the_budget_keeps_the_strength_that_was_wished_for() -> None:
    choice = within_loss(lambda _: np.array([0, 2]), RELEVANCE, 2, 0.7, 0.5)
    assert (choice.places.tolist(), choice.strength) == ([0, 2], 0.7)
    assert choice.loss == relevance_loss(RELEVANCE, choice.places)


def test_the_strength_is_lowered_just_as_far_as_the_budget_asks() -> None:
    def from_a_third_on(strength: float) -> np.ndarray:
        return np.array([0, 3]) if strength > 1 / 3 else np.array([0, 2])

    allowed = relevance_loss(RELEVANCE, np.array([0, 2]))
    choice = within_loss(from_a_third_on, RELEVANCE, 2, 1.0, allowed)
    assert choice.places.tolist() == [0, 2]
    assert 1 / 3 - 2**-N_HALVINGS <= choice.strength <= 1 / 3


def test_what_never_is_within_the_budget_leaves_the_order_of_the_scores() -> None:
    choice = within_loss(lambda _: np.array([3, 2]), RELEVANCE, 2, 1.0, 0.1)
    assert (choice.places.tolist(), choice.strength, choice.loss) == ([0, 1], 0.0, 0.0)


@given(seed=st.integers(0, 10_000), n=st.integers(1, 12), k=st.integers(1, 12), max_loss=st.floats(0, 1))
def test_whatever_is_chosen_the_loss_stays_within_the_budget(seed, n, k, max_loss) -> None:
    rng = np.random.default_rng(seed)
    relevance = scaled_relevance(-np.sort(-rng.random(n)))

    def erratic(strength: float) -> np.ndarray:  # loses more and less, not evenly with its strength
        return np.random.default_rng(int(1e6 * strength)).permutation(n)[:k]

    choice = within_loss(erratic, relevance, k, 1.0, max_loss)
    discounts = [1 / np.log2(position + 1) for position in range(1, len(choice.places) + 1)]
    shown = sum(relevance[place] * discount for place, discount in zip(choice.places, discounts, strict=True))
    best = sum(relevance[place] * discount for place, discount in enumerate(discounts))
    assert shown >= (1 - max_loss) * best - 1e-12
