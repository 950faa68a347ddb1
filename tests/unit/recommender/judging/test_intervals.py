from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import DataTooSmall, ShapeMismatch
from recommender.judging.intervals import PerPerson, bootstrap_interval, paired_bootstrap

PEOPLE = st.lists(st.floats(0, 1), min_size=1, max_size=20).map(np.array)


def test_an_interval_holds_the_mean_and_narrows_with_more_people() -> None:
    values = np.random.default_rng(0).random(400)
    few = bootstrap_interval(values[:40], np.random.default_rng(1))
    many = bootstrap_interval(values, np.random.default_rng(1))
    assert few.low < values[:40].mean() < few.high
    assert many.high - many.low < few.high - few.low


def test_its_width_is_that_of_the_normal_law() -> None:
    values = np.random.default_rng(0).normal(size=2000)
    found = bootstrap_interval(values, np.random.default_rng(1), n_resamples=4000)
    expected = 2 * 1.96 * values.std() / 2000**0.5
    assert found.high - found.low == pytest.approx(expected, rel=0.06)  # 4000 resamples tell a quantile to 3%


def test_people_all_alike_leave_no_doubt() -> None:
    found = bootstrap_interval(np.full(9, 0.25), np.random.default_rng(1))
    assert (found.low, found.mean, found.high) == pytest.approx((0.25, 0.25, 0.25))


def test_the_same_draws_give_the_same_interval() -> None:
    values = np.random.default_rng(0).random(30)
    first, second = (bootstrap_interval(values, np.random.default_rng(4)) for _ in range(2))
    assert first == second


def test_pairing_sees_a_small_steady_gain_that_two_intervals_would_hide() -> None:
    champion = np.random.default_rng(0).random(200)
    challenger = champion + 0.01
    gain = paired_bootstrap(challenger, champion, np.random.default_rng(1))
    assert gain.low > 0
    alone = [bootstrap_interval(values, np.random.default_rng(1)) for values in (champion, challenger)]
    assert alone[0].high > alone[1].low


@given(PEOPLE, st.integers(0, 99))
def test_a_release_against_itself_differs_by_exactly_nothing(values: PerPerson, seed: int) -> None:
    found = paired_bootstrap(values, values, np.random.default_rng(seed), 100)
    assert (found.low, found.mean, found.high) == (0, 0, 0)


@given(PEOPLE, st.integers(0, 99))
def test_turned_round_the_difference_is_its_own_mirror_image(values: PerPerson, seed: int) -> None:
    other = values[::-1].copy()
    there, back = (
        paired_bootstrap(one, two, np.random.default_rng(seed), 100) for one, two in ((values, other), (other, values))
    )
    assert (there.low, there.mean, there.high) == pytest.approx((-back.high, -back.mean, -back.low), abs=1e-12)


@given(PEOPLE, st.floats(-1, 1), st.integers(0, 99))
def test_what_everybody_gains_moves_the_whole_interval(values: PerPerson, gain: float, seed: int) -> None:
    other = values[::-1].copy()
    before, after = (paired_bootstrap(one, other, np.random.default_rng(seed), 100) for one in (values, values + gain))
    moved = (before.low + gain, before.mean + gain, before.high + gain)
    assert (after.low, after.mean, after.high) == pytest.approx(moved, abs=1e-9)


@given(PEOPLE, st.integers(0, 99))
def test_an_interval_never_leaves_what_was_seen(values: PerPerson, seed: int) -> None:
    found = bootstrap_interval(values, np.random.default_rng(seed), 100)
    assert values.min() - 1e-12 <= found.low <= found.high <= values.max() + 1e-12


def test_different_people_cannot_be_paired() -> None:
    with pytest.raises(ShapeMismatch, match="2 against 3"):
        paired_bootstrap(np.zeros(2), np.zeros(3), np.random.default_rng(1))


def test_nobody_cannot_be_measured() -> None:
    with pytest.raises(DataTooSmall):
        bootstrap_interval(np.empty(0), np.random.default_rng(1))
