from __future__ import annotations

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from recommender.judging import shown as judging_shown
from recommender.judging.shown import (
    coverage,
    exposure,
    gini,
    intra_list_diversity,
    miscalibration,
    most_popular,
    novelty,
    popularity_ranks,
    popularity_share,
)
from recommender.ragged import RaggedItems
from tests.unit.recommender.judging.slow_metrics import gini as slow_gini
from tests.unit.recommender.judging.slow_metrics import intra_list_diversity as slow_diversity
from tests.unit.recommender.judging.slow_metrics import miscalibration as slow_miscalibration


def shown(*slates: list[int]) -> RaggedItems:
    return RaggedItems.of(np.array(slate, np.int32) for slate in slates)


def test_novelty_is_the_mean_surprise_in_bits() -> None:
    popularity = np.array([0.5, 0.25, 1.0], np.float32)
    assert novelty(shown([0, 1], [0, 1, 2], []), popularity) == pytest.approx([(1 + 2) / 2, (1 + 2 + 0) / 3, 0])


def test_an_item_nobody_knew_surprises_without_end_being_infinite() -> None:
    assert novelty(shown([0]), np.zeros(1, np.float32)) == pytest.approx([np.log2(1e6)])


def test_intra_list_diversity_is_the_mean_distance_of_the_pairs() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    # Pairs: 0-1 alike (distance 0), 0-2 and 1-2 unlike (distance 1).
    expected = [(0 + 1 + 1) / 3, 0, 0, 0]
    assert intra_list_diversity(shown([0, 1, 2], [0, 1], [0], []), csr_matrix(vectors)) == pytest.approx(expected)


def test_an_item_like_none_is_at_distance_one_from_all() -> None:
    vectors = np.array([[1, 0], [0, 0]], np.float32)
    assert intra_list_diversity(shown([0, 1]), csr_matrix(vectors)) == pytest.approx([1])


def test_the_most_popular_are_a_share_of_the_catalogue_and_one_at_least() -> None:
    popularity = np.array([0.1, 0.5, 0.5, 0.2], np.float32)
    assert most_popular(popularity, 0.5).tolist() == [False, True, True, False]
    assert most_popular(popularity, 0.01).tolist() == [False, True, False, False]  # of two alike, the first
    assert popularity_ranks(popularity).tolist() == [4, 1, 2, 3]


def test_popularity_share_is_the_share_of_the_places_that_popular_items_take() -> None:
    popular = np.array([True, False, True, False])
    assert popularity_share(shown([0, 1, 3], []), popular) == pytest.approx([1 / 3, 0])


def test_coverage_is_the_share_of_the_catalogue_shown_to_anybody() -> None:
    assert coverage(exposure(shown([1, 2], [2, 9]), 10)) == pytest.approx(3 / 10)
    assert coverage(exposure(shown(), 10)) == 0
    assert coverage(exposure(shown(), 0)) == 0


def test_gini_is_nothing_where_all_items_are_shown_alike_and_near_one_where_one_item_has_all_places() -> None:
    assert gini(exposure(shown([0, 1], [2, 3]), 4)) == pytest.approx(0)
    # The items have 0, 0, 0 and 2 places: half the mean difference of two items over the mean, 2 / 4.
    assert gini(exposure(shown([3], [3]), 4)) == pytest.approx((2 * 3 * 2 / 16 / 2) / (2 / 4))
    assert gini(exposure(shown([]), 4)) == 0


def test_miscalibration_is_the_divergence_of_the_categories_of_history_and_slate() -> None:
    # Items 0 and 1 are comedies, 2 a drama, 3 half of each, 4 nothing.
    shares = np.array([[1, 0], [1, 0], [0, 1], [0.5, 0.5], [0, 0]], np.float32)
    wanted = [3 / 4, 1 / 4]  # of the history 0, 1, 2, 1
    offered = [(1 + 0.5) / 3, (1 + 0.5) / 3]  # of the slate 0, 2, 3
    smoothed = [0.99 * have + 0.01 * want for have, want in zip(offered, wanted, strict=True)]
    expected = wanted[0] * log(wanted[0] / smoothed[0]) + wanted[1] * log(wanted[1] / smoothed[1])
    found = miscalibration(shown([0, 2, 3]), shown([0, 1, 2, 1]), csr_matrix(shares))
    assert found == pytest.approx([expected], rel=1e-6)


def test_a_slate_as_the_history_is_calibrated_and_one_of_other_categories_is_as_far_as_smoothing_lets_it() -> None:
    shares = np.array([[1, 0], [0, 1]], np.float32)
    found = miscalibration(shown([0], [1]), shown([0], [0]), csr_matrix(shares))
    assert found == pytest.approx([0, log(1 / 0.01)], abs=1e-9)


def test_without_a_category_in_history_or_slate_nothing_is_known_of_calibration() -> None:
    shares = np.array([[1, 0], [0, 0]], np.float32)
    assert np.isnan(miscalibration(shown([0], [0], [], [1]), shown([], [1], [0], [0]), csr_matrix(shares))).all()


CATEGORIES = st.lists(st.sets(st.sampled_from("abcd")), min_size=12, max_size=12)
SLATES = st.lists(
    st.tuples(st.lists(st.integers(0, 11), unique=True), st.lists(st.integers(0, 11))), min_size=1, max_size=6
)


@given(CATEGORIES, SLATES)
def test_what_is_shown_is_measured_as_the_definitions_say_read_word_for_word(
    categories: list[set[str]], people: list[tuple[list[int], list[int]]]
) -> None:
    indicators = np.array([[name in own for name in "abcd"] for own in categories], np.float32)
    counts = np.maximum(indicators.sum(axis=1, keepdims=True), 1)
    unit = (indicators / np.sqrt(counts)).astype(np.float32)
    slates, histories = (shown(*each) for each in zip(*people, strict=True))
    diverse = [slow_diversity(slate, unit.tolist()) for slate, _ in people]
    assert intra_list_diversity(slates, csr_matrix(unit)) == pytest.approx(diverse, abs=1e-5)
    expected = [slow_miscalibration(slate, past, dict(enumerate(categories))) for slate, past in people]
    found = miscalibration(slates, histories, csr_matrix(indicators / counts))
    assert found == pytest.approx([np.nan if one is None else one for one in expected], abs=1e-5, nan_ok=True)


@given(CATEGORIES, SLATES, st.integers(1, 9))
def test_however_many_slates_are_looked_at_together_the_figures_have_the_same_bits(
    categories: list[set[str]], people: list[tuple[list[int], list[int]]], cells: int
) -> None:
    indicators = np.array([[name in own for name in "abcd"] for own in categories], np.float32)
    vectors = csr_matrix(indicators / np.maximum(np.linalg.norm(indicators, axis=1, keepdims=True), 1))
    slates, histories = (shown(*each) for each in zip(*people, strict=True))
    at_once = intra_list_diversity(slates, vectors), miscalibration(slates, histories, vectors.multiply(vectors))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judging_shown, "DENSE_CELLS", cells)
        apart = intra_list_diversity(slates, vectors), miscalibration(slates, histories, vectors.multiply(vectors))
    np.testing.assert_array_equal(at_once, apart)


@given(st.lists(st.integers(0, 50), max_size=12))
def test_gini_is_half_the_mean_difference_over_the_mean(exposed: list[int]) -> None:
    assert gini(np.array(exposed, np.int64)) == pytest.approx(slow_gini(exposed))
