from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import DataTooSmall, ShapeMismatch
from recommender.metrics import (
    bootstrap_interval,
    coverage,
    hit_rate,
    intra_list_diversity,
    most_popular,
    mrr,
    ndcg,
    novelty,
    paired_bootstrap,
    popularity_share,
    recall,
)


def items(*item_idx: int) -> np.ndarray:
    return np.array(item_idx, np.int32)


SLATE = items(5, 3, 8, 1)
PEOPLE = st.lists(st.floats(0, 1), min_size=1, max_size=20).map(np.array)


def log2(value: float) -> float:
    return float(np.log2(value))


def test_ndcg_discounts_hits_by_position_and_divides_by_the_best_slate():
    # Hits at positions 2 and 4; three were wanted, so that the best slate hits at 1, 2 and 3.
    gain = 1 / log2(3) + 1 / log2(5)
    best = 1 / log2(2) + 1 / log2(3) + 1 / log2(4)
    assert ndcg(SLATE, items(1, 3, 99), 4) == pytest.approx(gain / best)


def test_ndcg_at_k_expects_no_more_hits_than_k():
    assert ndcg(SLATE, items(5, 3, 8, 1, 7), 2) == pytest.approx(1)


def test_ndcg_looks_no_further_than_k():
    assert ndcg(SLATE, items(8), 2) == 0


def test_a_slate_shorter_than_k_is_not_an_error():
    assert ndcg(items(5), items(5, 6), 10) == pytest.approx(1 / (1 + 1 / log2(3)))
    assert ndcg(items(), items(5), 10) == 0


def test_recall_is_the_share_of_what_was_wanted():
    assert recall(SLATE, items(3, 1, 99), 4) == pytest.approx(2 / 3)
    assert recall(SLATE, items(3, 1, 99), 2) == pytest.approx(1 / 3)


def test_hit_rate_is_whether_anything_was_wanted():
    assert [hit_rate(SLATE, items(8), k) for k in (2, 3)] == [0, 1]


def test_mrr_is_one_over_the_position_of_the_first_hit():
    assert mrr(SLATE, items(8, 1), 4) == pytest.approx(1 / 3)
    assert mrr(SLATE, items(8, 1), 2) == 0


def test_novelty_is_the_mean_surprise_in_bits():
    popularity = np.array([0.5, 0.25, 1.0], np.float32)
    assert novelty(items(0, 1, 2), popularity, 2) == pytest.approx((1 + 2) / 2)
    assert novelty(items(0, 1, 2), popularity, 3) == pytest.approx((1 + 2 + 0) / 3)


def test_an_item_nobody_knew_surprises_without_end_being_infinite():
    assert novelty(items(0), np.zeros(1, np.float32), 1) == pytest.approx(log2(1e6))


def test_intra_list_diversity_is_the_mean_distance_of_the_pairs():
    vectors = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    # Pairs: 0-1 alike (distance 0), 0-2 and 1-2 unlike (distance 1).
    assert intra_list_diversity(items(0, 1, 2), vectors, 3) == pytest.approx((0 + 1 + 1) / 3)
    assert intra_list_diversity(items(0, 1, 2), vectors, 2) == pytest.approx(0)
    assert intra_list_diversity(items(0), vectors, 3) == 0


def test_an_item_like_none_is_at_distance_one_from_all():
    vectors = np.array([[1, 0], [0, 0]], np.float32)
    assert intra_list_diversity(items(0, 1), vectors, 2) == pytest.approx(1)


def test_the_most_popular_are_a_share_of_the_catalogue_and_one_at_least():
    popularity = np.array([0.1, 0.5, 0.5, 0.2], np.float32)
    assert most_popular(popularity, 0.5).tolist() == [False, True, True, False]
    assert most_popular(popularity, 0.01).tolist() == [False, True, False, False]  # of two alike, the first


def test_popularity_share_is_the_share_of_the_places_that_popular_items_take():
    popular = np.array([True, False, True, False])
    assert popularity_share(items(0, 1, 3, 2), popular, 3) == pytest.approx(1 / 3)
    assert popularity_share(items(), popular, 3) == 0


def test_coverage_is_the_share_of_the_catalogue_shown_to_anybody():
    assert coverage([items(1, 2, 3), items(2, 9)], 10, 2) == pytest.approx(3 / 10)
    assert coverage([], 10, 2) == 0


@given(st.lists(st.integers(0, 30), unique=True), st.sets(st.integers(0, 30)), st.integers(1, 15))
def test_every_metric_lies_between_nothing_and_all(slate, wanted, k):
    for metric in (ndcg, recall, hit_rate, mrr):
        assert 0 <= metric(items(*slate), items(*sorted(wanted)), k) <= 1 + 1e-9


@given(st.permutations(range(8)), st.sets(st.integers(0, 7), min_size=1))
def test_moving_a_hit_up_never_lowers_ndcg(slate, wanted):
    hits = [place for place, item in enumerate(slate) if item in wanted and place > 0]
    if not hits:
        return
    moved = list(slate)
    place = hits[-1]
    moved[place - 1], moved[place] = moved[place], moved[place - 1]
    target = items(*sorted(wanted))
    assert ndcg(items(*moved), target, 8) >= ndcg(items(*slate), target, 8) - 1e-12


class TestIntervals:
    def test_an_interval_holds_the_mean_and_narrows_with_more_people(self):
        values = np.random.default_rng(0).random(400)
        few = bootstrap_interval(values[:40], np.random.default_rng(1))
        many = bootstrap_interval(values, np.random.default_rng(1))
        assert few.low < values[:40].mean() < few.high
        assert many.high - many.low < few.high - few.low

    def test_its_width_is_that_of_the_normal_law(self):
        values = np.random.default_rng(0).normal(size=2000)
        found = bootstrap_interval(values, np.random.default_rng(1), n_resamples=4000)
        expected = 2 * 1.96 * values.std() / 2000**0.5
        assert found.high - found.low == pytest.approx(expected, rel=0.06)  # 4000 resamples tell a quantile to 3%

    def test_people_all_alike_leave_no_doubt(self):
        found = bootstrap_interval(np.full(9, 0.25), np.random.default_rng(1))
        assert (found.low, found.mean, found.high) == pytest.approx((0.25, 0.25, 0.25))

    def test_the_same_draws_give_the_same_interval(self):
        values = np.random.default_rng(0).random(30)
        first, second = (bootstrap_interval(values, np.random.default_rng(4)) for _ in range(2))
        assert first == second

    def test_pairing_sees_a_small_steady_gain_that_two_intervals_would_hide(self):
        champion = np.random.default_rng(0).random(200)
        challenger = champion + 0.01
        gain = paired_bootstrap(challenger, champion, np.random.default_rng(1))
        assert gain.low > 0
        alone = [bootstrap_interval(values, np.random.default_rng(1)) for values in (champion, challenger)]
        assert alone[0].high > alone[1].low

    @given(PEOPLE, st.integers(0, 99))
    def test_a_release_against_itself_differs_by_exactly_nothing(self, values, seed):
        found = paired_bootstrap(values, values, np.random.default_rng(seed), 100)
        assert (found.low, found.mean, found.high) == (0, 0, 0)

    @given(PEOPLE, st.integers(0, 99))
    def test_turned_round_the_difference_is_its_own_mirror_image(self, values, seed):
        other = values[::-1].copy()
        there, back = (
            paired_bootstrap(one, two, np.random.default_rng(seed), 100)
            for one, two in ((values, other), (other, values))
        )
        assert (there.low, there.mean, there.high) == pytest.approx((-back.high, -back.mean, -back.low), abs=1e-12)

    @given(PEOPLE, st.floats(-1, 1), st.integers(0, 99))
    def test_what_everybody_gains_moves_the_whole_interval(self, values, gain, seed):
        other = values[::-1].copy()
        before, after = (
            paired_bootstrap(one, other, np.random.default_rng(seed), 100) for one in (values, values + gain)
        )
        moved = (before.low + gain, before.mean + gain, before.high + gain)
        assert (after.low, after.mean, after.high) == pytest.approx(moved, abs=1e-9)

    @given(PEOPLE, st.integers(0, 99))
    def test_an_interval_never_leaves_what_was_seen(self, values, seed):
        found = bootstrap_interval(values, np.random.default_rng(seed), 100)
        assert values.min() - 1e-12 <= found.low <= found.high <= values.max() + 1e-12

    def test_different_people_cannot_be_paired(self):
        with pytest.raises(ShapeMismatch, match="2 against 3"):
            paired_bootstrap(np.zeros(2), np.zeros(3), np.random.default_rng(1))

    def test_nobody_cannot_be_measured(self):
        with pytest.raises(DataTooSmall):
            bootstrap_interval(np.empty(0), np.random.default_rng(1))
