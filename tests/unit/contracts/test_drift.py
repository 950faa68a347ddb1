"""PSI by hand, and its laws; what is new, vanished, and not judged."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.drift import LEAST_SHARE, Verdict, population_stability, table_drift
from contracts.profiles import (
    CategoryProfile,
    ColumnProfile,
    HourProfile,
    NumberProfile,
    PresenceProfile,
    read_profiles,
    write_profile,
)
from contracts.settings.drift import DriftSettings

LIMITS = DriftSettings(warn_psi=0.1, max_psi=0.25, warn_category_share=0.05, max_category_share=0.2, min_rows=100)
counts = st.lists(st.integers(0, 1000), min_size=2, max_size=12).filter(any)


def shares(values: list[int]) -> list[float]:
    return [value / sum(values) for value in values]


def drift_of(then: ColumnProfile, now: ColumnProfile, **limits: Any):
    (found,) = table_drift("items", {"colour": then}, {"colour": now}, LIMITS.model_copy(update=limits))
    return found


def words(other: int = 0, missing: int = 0, **named: int) -> CategoryProfile:
    return CategoryProfile(missing=missing, counts=named, other=other)


def numbers(*counted: tuple[float, int], exact: bool = True, missing: int = 0) -> NumberProfile:
    uppers, rows = zip(*counted, strict=True)
    return NumberProfile(missing=missing, exact=exact, uppers=list(uppers), counts=list(rows))


def test_the_index_of_two_halves_that_become_a_quarter_and_three_quarters_is_reckoned_by_hand():
    by_hand = (0.25 - 0.5) * math.log(0.25 / 0.5) + (0.75 - 0.5) * math.log(0.75 / 0.5)
    assert population_stability([0.5, 0.5], [0.25, 0.75]) == pytest.approx(by_hand)
    assert by_hand == pytest.approx(0.25 * math.log(3))
    assert drift_of(words(red=100, blue=100), words(red=50, blue=150)).psi == pytest.approx(0.25 * math.log(3))


def test_an_empty_bin_counts_as_the_least_share_and_stays_finite():
    by_hand = (0.9 - 1.0) * math.log(0.9 / 1.0) + (0.1 - LEAST_SHARE) * math.log(0.1 / LEAST_SHARE)
    assert population_stability([1.0, 0.0], [0.9, 0.1]) == pytest.approx(by_hand)


def test_a_limit_that_is_just_reached_is_not_passed():
    then, now = words(red=100, blue=100), words(red=50, blue=150)
    psi = population_stability([0.5, 0.5], [0.25, 0.75])
    assert drift_of(then, now, warn_psi=psi, max_psi=psi).verdict is Verdict.STEADY
    just_under = math.nextafter(psi, 0)
    assert drift_of(then, now, warn_psi=just_under, max_psi=psi).verdict is Verdict.MOVED
    assert drift_of(then, now, warn_psi=just_under, max_psi=just_under).verdict is Verdict.BROKEN


def test_a_new_category_of_just_the_share_that_is_allowed_is_not_too_much():
    then, now = words(red=200), words(red=150, green=50)
    lenient = {"warn_psi": 9.0, "max_psi": 9.0}
    assert drift_of(then, now, warn_category_share=0.25, max_category_share=0.25, **lenient).verdict is Verdict.STEADY
    assert drift_of(then, now, warn_category_share=0.2, max_category_share=0.24, **lenient).verdict is Verdict.BROKEN


@given(counts)
def test_nothing_moves_between_equals(values):
    assert population_stability(shares(values), shares(values)) == 0.0


@given(counts, st.randoms())
def test_the_index_is_the_same_both_ways_round_and_never_negative(values, random):
    other = random.sample(values, len(values))
    forth = population_stability(shares(values), shares(other))
    back = population_stability(shares(other), shares(values))
    assert forth == pytest.approx(back)
    assert forth >= 0.0


@given(st.floats(0.02, 0.2), st.floats(0.01, 0.2))
def test_the_index_grows_with_what_moves(moved, more):
    then = [0.5, 0.5]
    less = population_stability(then, [0.5 - moved, 0.5 + moved])
    assert population_stability(then, [0.5 - moved - more, 0.5 + moved + more]) > less > 0.0


@pytest.mark.parametrize("scale", [1, 3, 1000])
def test_more_rows_of_the_same_shape_move_nothing(scale):
    then, now = words(red=300, blue=100, missing=7), words(red=300 * scale, blue=100 * scale, missing=7 * scale)
    assert drift_of(then, now).psi == pytest.approx(0.0)


def test_what_was_given_and_is_missing_now_is_drift():
    found = drift_of(PresenceProfile(missing=0, present=1000), PresenceProfile(missing=500, present=500))
    assert found.verdict is Verdict.BROKEN
    assert [(one.label, one.then, one.now) for one in found.bins] == [("given", 1.0, 0.5), ("missing", 0.0, 0.5)]


def test_times_of_day_are_held_against_one_another_by_the_hour():
    then, now = ([0] * 24 for _ in range(2))
    then[9], now[21] = 500, 500
    found = drift_of(HourProfile(missing=0, counts=then), HourProfile(missing=0, counts=now))
    assert found.psi == pytest.approx(2 * (1 - LEAST_SHARE) * math.log(1 / LEAST_SHARE))
    assert {one.label for one in found.bins} == {"09 h", "21 h"}


def test_each_of_few_numbers_is_a_bin_and_a_number_nobody_gave_before_falls_beside_its_next():
    found = drift_of(numbers((1, 100), (2, 100), (5, 200)), numbers((1, 50), (2, 150), (3, 100), (5, 100)))
    assert [(one.label, one.then, one.now) for one in found.bins] == [
        ("to 1", 0.25, 0.125),
        ("1 to 2", 0.25, 0.375),
        ("above 2", 0.5, 0.5),
    ]


def test_within_a_bin_of_quantiles_numbers_are_taken_to_lie_evenly():
    then = numbers((0, 0), *((float(end), 100) for end in range(10, 110, 10)), exact=False)
    now = numbers((0, 0), (100, 1000), exact=False)
    found = drift_of(then, now)
    assert [one.now for one in found.bins] == pytest.approx([0.1] * 10)
    assert found.psi == pytest.approx(0.0)


def test_new_and_vanished_categories_are_named_with_their_shares():
    found = drift_of(words(red=900, blue=100), words(red=900, green=60, grey=40))
    assert found.new == {"green": 0.06}
    assert found.vanished == {"blue": 0.1}
    assert found.category_share == pytest.approx(0.1)
    assert "new: green (6.0%); vanished: blue (10.0%)" in found.reason


@pytest.mark.parametrize(("moved", "verdict"), [(20, Verdict.STEADY), (180, Verdict.MOVED), (260, Verdict.BROKEN)])
def test_the_thresholds_part_what_is_steady_from_what_moved_and_what_is_broken(moved, verdict):
    # Of 500 and 500: 0.0016 * ..., 0.133 and 0.292, by the formula above.
    assert drift_of(words(red=500, blue=500), words(red=500 - moved, blue=500 + moved)).verdict is verdict


@pytest.mark.parametrize(
    ("then", "now"),
    [
        (words(red=99), words(red=500)),
        (words(red=500), words(red=99)),
        (words(red=500), PresenceProfile(missing=0, present=500)),
    ],
)
def test_too_few_rows_or_another_kind_are_not_judged(then, now):
    found = drift_of(then, now)
    assert (found.verdict, found.psi) == (Verdict.NOT_JUDGED, None)
    assert found.reason


def test_a_column_that_only_one_side_knows_is_told():
    found = table_drift("items", {"colour": words(red=500)}, {"size": words(red=500)}, LIMITS)
    assert {drift.column: drift.verdict for drift in found} == {
        "colour": Verdict.NOT_JUDGED,
        "size": Verdict.NOT_JUDGED,
    }


def test_a_profile_is_read_as_it_was_written():
    profile = {"colour": words(red=10), "price": numbers((1.5, 3)), "at": HourProfile(missing=1, counts=[2] * 24)}
    assert read_profiles({"tables": {"items": {"profile": write_profile(profile)}}}) == {"items": profile}


@pytest.mark.parametrize(
    "profile",
    [
        {"colour": {"kind": "odd"}},
        {"colour": {"kind": "presence", "missing": -1, "present": 0}},
        {"price": {"kind": "number", "missing": 0, "exact": True, "uppers": [2.0, 1.0], "counts": [1, 1]}},
        {"price": {"kind": "number", "missing": 0, "exact": True, "uppers": [1.0], "counts": []}},
        {"at": {"kind": "hour", "missing": 0, "counts": [1]}},
        3,
    ],
)
def test_what_is_no_profile_is_refused(profile):
    with pytest.raises(ValueError, match=r"."):
        read_profiles({"tables": {"items": {"profile": profile}}})


@pytest.mark.parametrize("result", [{"tables": 3}, {"tables": {"items": 3}}, []])
def test_what_is_no_result_is_refused(result):
    with pytest.raises(TypeError, match="tables"):
        read_profiles(result)


def test_one_bin_of_a_tenth_that_empties_comes_to_seven_tenths() -> None:
    emptied = population_stability([0.1], [0.0])
    assert emptied == pytest.approx((0.1 - 0.0001) * math.log(0.1 / 0.0001))
