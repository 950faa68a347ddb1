from __future__ import annotations

import numpy as np
import pytest

from contracts.errors import DataTooSmall
from recommender.judging.windows import over_windows

Window = tuple[list[str], np.ndarray]


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def window(**values: float) -> Window:
    return list(values), np.array(list(values.values()))


def test_every_window_weighs_alike_however_many_people_it_has() -> None:
    found = over_windows([window(a=0.2, b=0.4, c=0.6), window(a=1.0)], rng())
    assert found.by_window == pytest.approx(((0.2 + 0.4 + 0.6) / 3, 1.0))
    assert found.mean == pytest.approx(((0.2 + 0.4 + 0.6) / 3 + 1.0) / 2)


def test_a_difference_is_ahead_in_the_windows_where_it_is_above_nothing() -> None:
    assert over_windows([window(a=0.1), window(a=-0.1), window(a=0.0)], rng()).n_ahead == 1


def test_people_who_are_all_alike_leave_doubt_about_windows_alone() -> None:
    found = over_windows([window(a=0.1, b=0.1), window(a=0.3, b=0.3)], rng())
    assert (found.over_people.low, found.over_people.high) == pytest.approx((0.2, 0.2))
    assert (found.over_windows.low, found.over_windows.high) == pytest.approx((0.1, 0.3))


def test_one_window_is_as_sure_over_windows_as_over_people() -> None:
    found = over_windows([window(a=0.1, b=0.7, c=0.2)], rng())
    assert found.over_windows == found.over_people


def test_other_windows_add_doubt_to_that_of_other_people() -> None:
    values = np.random.default_rng(0)
    windows = [([f"u{one}" for one in range(80)], values.random(80) + shift) for shift in (0.0, 0.2, 0.5, 0.6)]
    found = over_windows(windows, rng())
    assert (
        found.over_windows.low < found.over_people.low < found.mean < found.over_people.high < found.over_windows.high
    )


def test_the_width_over_people_is_that_of_the_normal_law_for_people_of_one_window_each() -> None:
    values = np.random.default_rng(0)
    windows = [([f"w{row}-{one}" for one in range(400)], values.normal(size=400)) for row in range(3)]
    found = over_windows(windows, rng(), n_resamples=4000)
    expected = 2 * 1.96 * (sum(each.var() / 400 for _, each in windows) / 3**2) ** 0.5
    assert found.over_people.high - found.over_people.low == pytest.approx(expected, rel=0.06)


def test_who_is_in_several_windows_is_drawn_with_all_that_was_measured_of_them() -> None:
    people, values = [f"u{one}" for one in range(200)], np.random.default_rng(0).normal(size=200)
    same = over_windows([(people, values)] * 4, rng(), n_resamples=2000)
    others = over_windows([([f"{row}-{one}" for one in people], values) for row in range(4)], rng(), n_resamples=2000)
    widths = [one.over_people.high - one.over_people.low for one in (same, others)]
    # Four times the same people tell no more than once; four times as many people tell twice as well.
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.1)


def test_the_order_of_people_changes_nothing() -> None:
    there, back = window(a=0.1, b=0.7, c=0.2), window(c=0.2, b=0.7, a=0.1)
    assert over_windows([there], rng()) == over_windows([back], rng())


@pytest.mark.parametrize("windows", [[], [window(a=0.1), ([], np.empty(0))]])
def test_a_window_without_anybody_is_refused(windows: list[Window]) -> None:
    with pytest.raises(DataTooSmall):
        over_windows(windows, rng())
