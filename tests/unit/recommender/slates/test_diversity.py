from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import ShapeMismatch
from recommender.slates.diversity import maximal_marginal_relevance

# Two comedies, of which the second is nearly as good, and a drama that is less so.
SCORES = np.array([1.0, 0.9, 0.5, 0.0], np.float32)
VECTORS = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)


def test_weight_one_keeps_the_order_of_the_scores():
    shuffled = np.array([0.2, 0.9, 0.5, 0.7], np.float32)
    assert maximal_marginal_relevance(shuffled, VECTORS, 4, 1.0).tolist() == [1, 3, 2, 0]


def test_less_weight_puts_the_unlike_item_second():
    # With weight 0.5: the second comedy gains 0.5 * 0.9 - 0.5 * 1 = -0.05, the drama 0.5 * 0.5 - 0.5 * 0 = 0.25.
    assert maximal_marginal_relevance(SCORES, VECTORS, 3, 0.5).tolist() == [0, 2, 1]


def test_what_is_unlike_the_last_one_may_still_be_like_an_earlier_one():
    # The comedy and the drama are chosen. A second comedy is as unlike the drama as the item like none, and better.
    scores = np.array([1.0, 0.9, 0.8, 0.5, 0.0], np.float32)
    vectors = np.array([[1, 0], [0, 1], [1, 0], [0, 0], [0, 0]], np.float32)
    assert maximal_marginal_relevance(scores, vectors, 3, 0.5).tolist() == [0, 1, 3]


def test_weight_nothing_still_starts_with_the_best():
    assert maximal_marginal_relevance(SCORES, VECTORS, 2, 0.0).tolist() == [0, 2]


def test_the_unit_of_the_scores_does_not_matter():
    for unit in (0.001, 1000.0):
        assert maximal_marginal_relevance(SCORES * unit - 7, VECTORS, 4, 0.5).tolist() == [0, 2, 1, 3]


def test_equal_items_keep_their_order():
    assert maximal_marginal_relevance(np.ones(3, np.float32), VECTORS[:3] * 0, 3, 0.5).tolist() == [0, 1, 2]


def test_no_items_give_an_empty_slate():
    assert maximal_marginal_relevance(SCORES[:0], VECTORS[:0], 5, 0.5).tolist() == []


def test_rows_that_disagree_are_refused():
    with pytest.raises(ShapeMismatch, match="4 scores"):
        maximal_marginal_relevance(SCORES, VECTORS[:3], 2, 0.5)


@given(st.integers(0, 30), st.integers(0, 12), st.floats(0, 1), st.integers(0, 1000))
def test_it_picks_k_different_positions(n_items, k, weight, seed):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n_items, 3)).astype(np.float32)
    chosen = maximal_marginal_relevance(rng.random(n_items).astype(np.float32), vectors, k, weight)
    assert len(chosen) == len(set(chosen.tolist())) == min(k, n_items)
