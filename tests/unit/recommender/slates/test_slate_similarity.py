import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.slates.slate_similarity import kendall_tau, overlap, rank_biased_overlap

SLATES = st.lists(st.integers(0, 30), unique=True, max_size=15)


def slow_rank_biased_overlap(first, second, p):
    """The definition, carried on to a depth at which nothing is left: for slates of one length."""
    n_items, total = len(first), 0.0
    for depth in range(1, 2000):
        seen = min(depth, n_items)
        common = len(set(first[:seen]) & set(second[:seen]))
        agreement = common / depth if depth <= n_items else common / n_items
        total += (1 - p) * p ** (depth - 1) * agreement
    return total


def test_overlap_counts_items_wherever_they_stand():
    assert overlap("abcd", "dcxy") == 2 / 4
    assert overlap("ab", "abcd") == 2 / 4
    assert overlap("", "") == 1
    assert overlap("a", "") == 0


def test_a_difference_at_the_top_counts_more_than_one_at_the_end():
    assert rank_biased_overlap("xbcde", "abcde") < rank_biased_overlap("abcdx", "abcde") < 1


def test_a_slate_whose_two_items_are_swapped_by_hand():
    # Depth 1: 0 of 1; depth 2 and all below: 2 of 2. (1 - p) * (0 + p + p^2 + ...) = p.
    assert rank_biased_overlap("ab", "ba", 0.9) == pytest.approx(0.9)


def test_slates_of_unequal_length_by_hand():
    # p = 1/2. Shared among the first 1, 2, 3, 4: none; b; a, b; a, b. At depth 2 the shorter one ends with half of
    # it shared, and is taken to go on so: 1 * (3 - 2) / 2 of the third position, 1 * (4 - 2) / 2 of the fourth.
    seen = 0 / 1 * 1 / 2 + 1 / 2 * 1 / 4 + (2 + 1 / 2) / 3 * 1 / 8 + (2 + 2 / 2) / 4 * 1 / 16
    below = ((2 - 1) / 4 + 1 / 2) * 1 / 16
    assert rank_biased_overlap("ab", "bcad", 1 / 2) == pytest.approx(seen + below)
    assert rank_biased_overlap("bcad", "ab", 1 / 2) == pytest.approx(seen + below)


def test_a_slate_of_five_beside_one_of_ten_with_the_same_head_is_as_alike_as_can_be():
    assert rank_biased_overlap("abcde", "abcdefghij") == pytest.approx(1)
    assert overlap("abcde", "abcdefghij") == 5 / 10


def test_the_shorter_slate_is_taken_to_go_on_as_it_was():
    # All of the shorter slate agrees, so that all of it would.
    assert rank_biased_overlap("ab", "abcd") == pytest.approx(1)
    assert rank_biased_overlap("", "ab") == 0
    assert rank_biased_overlap("", "") == 1


@given(st.permutations(range(20)), st.permutations(range(20)), st.integers(1, 20), st.floats(0.5, 0.95))
def test_it_is_the_definition_carried_on_without_end(first, second, n_items, p):
    expected = slow_rank_biased_overlap(first[:n_items], second[:n_items], p)
    assert rank_biased_overlap(first[:n_items], second[:n_items], p) == pytest.approx(expected)


@given(SLATES, SLATES)
def test_likeness_is_the_same_from_either_side_and_between_none_and_all(first, second):
    for measure in (overlap, rank_biased_overlap):
        assert measure(first, second) == pytest.approx(measure(second, first))
        assert -1e-9 <= measure(first, second) <= 1 + 1e-9


@given(SLATES.filter(len))
def test_a_slate_is_like_itself(slate):
    assert overlap(slate, slate) == 1
    assert rank_biased_overlap(slate, slate) == pytest.approx(1)


def test_rank_correlation_is_of_the_items_both_show():
    assert kendall_tau("abcx", "yabc") == pytest.approx(1)
    assert kendall_tau("abc", "cba") == pytest.approx(-1)
    assert kendall_tau("abcd", "abdc") == pytest.approx((5 - 1) / 6)
    assert kendall_tau("ab", "ax") is None
    assert kendall_tau("", "") is None
