from dataclasses import replace
from math import inf, isclose, log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.canary.statistics import (
    Ratio,
    RatioDifference,
    arm_ratio,
    n_in_both,
    p_value_over_periods,
    ratio_difference,
    sample_ratios,
)
from release.canary.sums import CANARY, PRODUCTION, Cells, Count
from tests.canary_worlds import cells

CLICKS = Ratio(Count.CLICKED_REQUESTS, Count.REQUESTS)


def together(*parts):
    """Cells of several parts as one, the people of each in the order of their names."""
    person = np.concatenate([part.person for part in parts])
    order = np.argsort(person, kind="stable")
    return Cells(
        person[order],
        np.concatenate([part.arm for part in parts])[order],
        np.concatenate([part.period for part in parts])[order],
        {name: np.concatenate([part.counts[name] for part in parts])[order] for name in parts[0].counts},
    )


def in_period(part, period, first_person=0):
    return replace(part, period=np.full_like(part.period, period), person=part.person + np.uint64(first_person))


def clicked(arm, n_people, n_clicked):
    clicks = [1] * n_clicked + [0] * (n_people - n_clicked)
    return cells([arm] * n_people, requests=[1] * n_people, clicked_requests=clicks)


def test_with_one_request_a_person_the_interval_is_that_of_a_share():
    found = arm_ratio(clicked(PRODUCTION, 400, 100), PRODUCTION, CLICKS)
    half = 1.959964 * sqrt(0.25 * 0.75 / 400)
    assert (found.mean, found.low, found.high) == pytest.approx((0.25, 0.25 - half, 0.25 + half))


def test_requests_of_one_person_do_not_count_as_many_people():
    alone = arm_ratio(clicked(PRODUCTION, 400, 100), PRODUCTION, CLICKS)
    n_people = 100
    fourfold = cells([0] * n_people, requests=[4] * n_people, clicked_requests=[4] * 25 + [0] * 75)
    found = arm_ratio(fourfold, PRODUCTION, CLICKS)
    assert found.mean == alone.mean
    assert found.high - found.mean == pytest.approx(2 * (alone.high - alone.mean))


def test_the_delta_method_agrees_with_a_bootstrap_over_people():
    rng = np.random.default_rng(3)
    n_people = 600
    requests = 1 + rng.poisson(2, n_people)
    clicks = rng.binomial(requests, rng.beta(1, 4, n_people))
    found = arm_ratio(cells([0] * n_people, requests=requests, clicked_requests=clicks), PRODUCTION, CLICKS)
    drawn = rng.integers(n_people, size=(2000, n_people))
    ratios = clicks[drawn].sum(axis=1) / requests[drawn].sum(axis=1)
    # The spread of 2,000 resamples is itself known to 1.6% (one standard deviation): four of them.
    assert (found.high - found.mean) / 1.959964 == pytest.approx(ratios.std(), rel=0.064)


def test_where_nothing_was_shown_there_is_no_ratio():
    assert arm_ratio(clicked(PRODUCTION, 3, 1), CANARY, CLICKS) is None
    assert ratio_difference(clicked(PRODUCTION, 3, 1), CLICKS) is None
    assert ratio_difference(cells([]), CLICKS) is None


def test_arms_that_were_never_seen_at_one_share_are_not_compared():
    apart = together(clicked(PRODUCTION, 5, 1), in_period(clicked(CANARY, 5, 1), 1, 100))
    assert ratio_difference(apart, CLICKS) is None


def test_a_difference_is_that_of_two_shares():
    both = together(clicked(PRODUCTION, 1000, 300), in_period(clicked(CANARY, 400, 100), 0, 5000))
    found = ratio_difference(both, CLICKS)
    assert found.value == pytest.approx(0.25 - 0.30)
    # The canary's variance is floored by production's, which is the larger here.
    assert found.error == pytest.approx(sqrt(0.3 * 0.7 / 400 + 0.3 * 0.7 / 1000))
    assert found.n_people == pytest.approx(1000 * 400 / 1400)


def test_what_is_kept_of_production_is_weighed():
    both = together(clicked(PRODUCTION, 1000, 300), in_period(clicked(CANARY, 400, 160), 0, 5000))
    found = ratio_difference(both, CLICKS, weight=0.9)
    assert found.value == pytest.approx(0.40 - 0.9 * 0.30)
    assert found.error == pytest.approx(sqrt(0.4 * 0.6 / 400 + 0.81 * 0.3 * 0.7 / 1000))


def test_a_canary_with_no_click_at_all_is_not_certain():
    both = together(clicked(PRODUCTION, 9000, 18), in_period(clicked(CANARY, 500, 0), 0, 20_000))
    assert ratio_difference(both, CLICKS).error > sqrt(0.002 * 0.998 / 500)


def test_what_changed_with_time_is_no_effect_of_the_candidate():
    # Both arms are clicked at 10% first and at 30% later; the canary's share is 10% first and 90% later.
    both = together(
        clicked(PRODUCTION, 900, 90),
        in_period(clicked(CANARY, 100, 10), 0, 10_000),
        in_period(clicked(PRODUCTION, 100, 30), 1, 20_000),
        in_period(clicked(CANARY, 900, 270), 1, 30_000),
    )
    pooled = arm_ratio(both, CANARY, CLICKS).mean - arm_ratio(both, PRODUCTION, CLICKS).mean
    assert pooled == pytest.approx(0.28 - 0.12)
    assert ratio_difference(both, CLICKS).value == pytest.approx(0)


def test_people_who_come_back_at_another_share_are_one_person_each():
    first = together(clicked(PRODUCTION, 400, 100), in_period(clicked(CANARY, 400, 100), 0, 1000))
    again = together(first, in_period(first, 1))
    others = together(first, in_period(first, 1, 5000))
    assert ratio_difference(again, CLICKS).error == pytest.approx(sqrt(2) * ratio_difference(others, CLICKS).error)


def test_people_who_were_in_either_arm_are_told():
    both = together(clicked(PRODUCTION, 10, 1), in_period(clicked(CANARY, 4, 1), 1, 7))
    assert n_in_both(both) == 3


def test_an_interval_for_every_look_is_the_mixture_s():
    found = RatioDifference(0.1, 0.02, n_people=400)
    rho_squared = (-2 * log(0.05) + log(-2 * log(0.05) + 1)) / 400
    t = 400 * rho_squared
    half = 0.02 * sqrt(2 * (t + 1) / t * log(sqrt(t + 1) / 0.05))
    always = found.always(0.05, sharpest_at=400)
    assert (always.low, always.mean, always.high) == pytest.approx((0.1 - half, 0.1, 0.1 + half))
    assert half / 0.02 == pytest.approx(3.03, abs=0.01)  # against 1.96 for one look


@given(st.floats(1, 1e7), st.floats(100, 1e5))
def test_an_interval_for_every_look_is_wider_than_one_for_one_look(n_people, sharpest_at):
    found = RatioDifference(0.0, 0.01, n_people)
    assert found.always(0.05, sharpest_at).high > found.once().high


def test_before_anybody_came_nothing_is_excluded():
    assert (RatioDifference(0, 0, 0).always(0.05, 100).low, RatioDifference(0, 0, 0).always(0.05, 100).high) == (
        -inf,
        inf,
    )


def divided(n_production, n_canary, share=0.1):
    (found,) = sample_ratios(cells([0] * n_production + [1] * n_canary), [share])
    return found


def test_people_divided_as_the_share_says_raise_no_alarm():
    found = divided(900, 100)
    assert (found.n_production, found.n_canary, found.expected) == (900, 100, 100)
    assert (found.p_once, found.p_always) == (1.0, 1.0)


def test_a_skewed_division_is_as_unlikely_as_chi_square_says():
    # (40 - 100)^2 / 100 + (60)^2 / 900 = 40: the tail of chi-square with one degree of freedom.
    assert divided(960, 40).p_once == pytest.approx(2.54e-10, rel=0.01)
    assert divided(960, 40).p_always < 0.001


@given(st.integers(0, 3000), st.integers(0, 3000), st.floats(0.01, 0.99))
def test_a_p_value_for_every_look_is_a_probability(n_production, n_canary, share):
    assert 0 <= divided(n_production, n_canary, share).p_always <= 1


def test_each_share_has_its_own_expectation():
    both = together(cells([0] * 900 + [1] * 100), in_period(cells([0] * 500 + [1] * 500), 1, 300))
    first, second = sample_ratios(both, [0.1, 0.5])
    assert (first.p_once, second.p_once) == (1.0, 1.0)
    # As if the share had been the last one all along: people would seem lost.
    assert divided(1400, 600, 0.5).p_once < 1e-60


@given(st.lists(st.floats(0, 1), max_size=20))
def test_several_periods_have_one_p_value_that_is_never_below_any_of_theirs(p_values):
    assert p_value_over_periods(p_values) >= min([1.0, *p_values])


def test_a_later_period_has_to_be_the_more_unlikely():
    assert isclose(p_value_over_periods([1.0, 0.01]), 0.06)
    assert isclose(p_value_over_periods([0.01, 1.0]), 0.02)
    assert isclose(sum(1 / (n * (n + 1)) for n in range(1, 10_000)), 1, rel_tol=1e-3)
