from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.judging.hits import (
    Hits,
    average_precision,
    hit_rate,
    ndcg,
    recall,
    reciprocal_rank,
    serendipity,
)
from recommender.ragged import RaggedItems
from tests.unit.recommender.judging.slow_metrics import OF_HITS
from tests.unit.recommender.judging.slow_metrics import serendipity as slow_serendipity

SLATE = [5, 3, 8, 1]
METRICS = {
    "ndcg": ndcg,
    "recall": recall,
    "hit_rate": hit_rate,
    "reciprocal_rank": reciprocal_rank,
    "average_precision": average_precision,
}


def items(*item_idx: int) -> np.ndarray:
    return np.array(item_idx, np.int32)


def hits_of(*slates_and_wanted: tuple[list[int], list[int]]) -> Hits:
    slates, wanted = zip(*slates_and_wanted, strict=True)
    return Hits.of(RaggedItems.of(items(*one) for one in slates), RaggedItems.of(items(*one) for one in wanted))


def log2(value: float) -> float:
    return float(np.log2(value))


def test_ndcg_discounts_hits_by_position_and_divides_by_the_best_slate() -> None:
    # Hits at positions 2 and 4; three were wanted, so that the best slate hits at 1, 2 and 3.
    gain = 1 / log2(3) + 1 / log2(5)
    best = 1 / log2(2) + 1 / log2(3) + 1 / log2(4)
    assert ndcg(hits_of((SLATE, [1, 3, 99])), 4) == pytest.approx([gain / best])


def test_ndcg_at_k_expects_no_more_hits_than_k() -> None:
    assert ndcg(hits_of((SLATE, [5, 3, 8, 1, 7])), 2) == pytest.approx([1])


def test_ndcg_looks_no_further_than_k() -> None:
    assert ndcg(hits_of((SLATE, [8])), 2) == pytest.approx([0])


def test_a_slate_shorter_than_k_is_not_an_error() -> None:
    assert ndcg(hits_of(([5], [5, 6]), ([], [5])), 10) == pytest.approx([1 / (1 + 1 / log2(3)), 0])


def test_recall_is_the_share_of_what_was_wanted() -> None:
    assert recall(hits_of((SLATE, [3, 1, 99])), 4) == pytest.approx([2 / 3])
    assert recall(hits_of((SLATE, [3, 1, 99])), 2) == pytest.approx([1 / 3])


def test_hit_rate_is_whether_anything_was_wanted() -> None:
    assert [hit_rate(hits_of((SLATE, [8])), k).item() for k in (2, 3)] == [0, 1]


def test_the_reciprocal_rank_is_one_over_the_position_of_the_first_hit() -> None:
    assert reciprocal_rank(hits_of((SLATE, [8, 1])), 4) == pytest.approx([1 / 3])
    assert reciprocal_rank(hits_of((SLATE, [8, 1])), 2) == pytest.approx([0])


def test_average_precision_is_the_mean_precision_down_to_each_hit_of_the_best_slate() -> None:
    # Hits at positions 2 and 4: one of two, and two of four. Three were wanted.
    assert average_precision(hits_of((SLATE, [1, 3, 99])), 4) == pytest.approx([1 / 3 * (1 / 2 + 2 / 4)])


def test_average_precision_at_k_expects_no_more_hits_than_k() -> None:
    assert average_precision(hits_of((SLATE, [5, 3, 8, 1, 7])), 2) == pytest.approx([1 / 2 * (1 / 1 + 2 / 2)])


def test_serendipity_is_how_far_hits_stand_before_their_place_by_popularity() -> None:
    ranks = np.array([1, 9, 3, 2, 5, 8, 4, 6, 7, 10])  # of ten items
    # 5 stands first and is eighth by popularity; 3 stands second and is second; 1 stands fourth and is ninth.
    ahead = (8 - 1) / 10 + (2 - 2) / 10 + (9 - 4) / 10
    assert serendipity(hits_of((SLATE, [5, 3, 1])), ranks, 4) == pytest.approx([ahead / 4])


def test_a_hit_that_stands_behind_its_place_by_popularity_takes_nothing_away() -> None:
    ranks = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    assert serendipity(hits_of(([9, 8, 7, 1], [1])), ranks, 4) == pytest.approx([0])


def test_an_unknown_item_takes_its_position_and_hits_nothing() -> None:
    hits = hits_of(([-1, 3], [3]), ([-1], [0]))
    assert reciprocal_rank(hits, 2) == pytest.approx([1 / 2, 0])


def test_people_are_judged_each_for_themselves_whatever_the_order_of_what_they_wanted() -> None:
    together = hits_of((SLATE, [99, 1, 3]), ([], [5]), ([7, 5], [5]))
    for metric in METRICS.values():
        alone = [metric(one, 4).item() for one in (hits_of((SLATE, [3, 1, 99])), hits_of(([], [5])))]
        assert metric(together, 4)[:2] == pytest.approx(alone)


def test_whoever_wanted_nothing_has_nothing() -> None:
    hits = hits_of((SLATE, []))
    assert [metric(hits, 4).item() for metric in METRICS.values()] == [0] * len(METRICS)


WORLDS = st.lists(
    st.tuples(st.lists(st.integers(0, 30), unique=True, max_size=25), st.sets(st.integers(0, 30), max_size=12)),
    min_size=1,
    max_size=8,
)


@given(WORLDS, st.integers(1, 20))
def test_every_metric_is_what_its_definition_says_read_word_for_word(
    world: list[tuple[list[int], set[int]]], k: int
) -> None:
    hits = hits_of(*[(slate, sorted(wanted)) for slate, wanted in world])
    for name, metric in METRICS.items():
        expected = [OF_HITS[name](slate, wanted, k) for slate, wanted in world]
        assert metric(hits, k) == pytest.approx(expected), name


@given(WORLDS, st.integers(1, 20), st.permutations(range(1, 32)))
def test_serendipity_is_what_its_definition_says_read_word_for_word(
    world: list[tuple[list[int], set[int]]], k: int, ranks: list[int]
) -> None:
    hits = hits_of(*[(slate, sorted(wanted)) for slate, wanted in world])
    expected = [slow_serendipity(slate, wanted, ranks, k) for slate, wanted in world]
    assert serendipity(hits, np.array(ranks), k) == pytest.approx(expected)


@given(WORLDS, st.integers(1, 15))
def test_every_metric_lies_between_nothing_and_all(world: list[tuple[list[int], set[int]]], k: int) -> None:
    hits = hits_of(*[(slate, sorted(wanted)) for slate, wanted in world])
    for metric in METRICS.values():
        assert ((metric(hits, k) >= 0) & (metric(hits, k) <= 1 + 1e-9)).all()


@given(st.permutations(range(8)), st.sets(st.integers(0, 7), min_size=1), st.integers(1, 8))
def test_moving_a_hit_up_lowers_no_metric(slate: list[int], wanted: set[int], k: int) -> None:
    places = [place for place, item in enumerate(slate) if item in wanted and place > 0]
    if not places:
        return
    moved, place = list(slate), places[-1]
    moved[place - 1], moved[place] = moved[place], moved[place - 1]
    for metric in METRICS.values():
        before, after = metric(hits_of((list(slate), sorted(wanted)), (moved, sorted(wanted))), k)
        assert after >= before - 1e-12
