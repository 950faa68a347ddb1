from __future__ import annotations

from math import dist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.evaluation.drawing import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Axes,
    Axis,
    interval_bars,
    set_apart,
    share_bars,
)


def test_bars_share_one_width_which_the_longest_interval_fills() -> None:
    ours, other = interval_bars([("slates", 0.3, 0.2, 0.4), ("als", 0.1, 0.05, 0.15)], ours="slates")
    assert (ours.width, ours.left, ours.reach) == (100 * 0.3 / 0.4, 100 * 0.2 / 0.4, 100 * 0.2 / 0.4)
    assert (other.width, other.left, other.reach) == (100 * 0.1 / 0.4, 100 * 0.05 / 0.4, 100 * 0.1 / 0.4)
    assert (ours.is_ours, other.is_ours) == (True, False)
    assert ours.text == "0.300 [0.200, 0.400]"


def test_bars_of_nothing_are_no_error() -> None:
    assert interval_bars([]) == []
    assert interval_bars([("new", 0.0, 0.0, 0.0)])[0].width == 0


def test_shares_are_told_in_percent_whatever_the_width_they_take() -> None:
    (first, second) = share_bars({"a": 0.2, "b": 0.05}, most=0.2)
    assert [(bar.width, bar.text) for bar in (first, second)] == [(100, "20.0%"), (25, "5.0%")]


def test_the_corners_of_the_axes_are_the_corners_of_the_plot() -> None:
    axes = Axes(Axis(0, 10, 5), Axis(0.2, 0.4, 0.1))
    assert axes.place(0, 0.2) == (LEFT, HEIGHT - BOTTOM)
    assert axes.place(10, 0.4) == (WIDTH - RIGHT, TOP)
    assert axes.path([0, 10], [0.2, 0.4]) == f"M{LEFT} {HEIGHT - BOTTOM} L{WIDTH - RIGHT} {TOP}"


def test_ticks_are_round_numbers_from_one_end_to_the_other() -> None:
    axes = Axes.around([0, 143], [0.322, 0.455])
    assert [tick.text for tick in axes.x_ticks] == ["0", "20", "40", "60", "80", "100", "120", "140", "160"]
    assert [tick.text for tick in axes.y_ticks] == ["0.32", "0.34", "0.36", "0.38", "0.4", "0.42", "0.44", "0.46"]


def test_a_single_value_has_axes_too() -> None:
    axes = Axes.around([0.5], [0.0])
    assert axes.place(0.5, 0.0)[1] == HEIGHT - BOTTOM


VALUES = st.lists(st.floats(-1000, 1000).map(lambda value: round(value, 4)), min_size=2, max_size=9)


@given(VALUES)
def test_every_value_lies_inside_its_axes_between_a_few_ticks(values: list[float]) -> None:
    axes = Axes.around(values, values)
    assert all(LEFT - 0.1 <= axes.place(value, value)[0] <= WIDTH - RIGHT + 0.1 for value in values)
    assert 2 <= len(axes.x_ticks) <= 13
    assert axes.x_ticks[0].at == pytest.approx(LEFT, abs=0.1)
    assert axes.x_ticks[-1].at == pytest.approx(WIDTH - RIGHT, abs=0.1)


def test_a_mark_stays_where_nothing_is_near_and_else_stands_beside() -> None:
    assert set_apart([(100, 100), (140, 100), (105, 100)], 20) == [
        (100, 100),
        (140, 100),
        (119.1, 114.1),
    ]  # an eighth of a turn on, 20 from its place


PLACES = st.lists(st.tuples(st.floats(LEFT, WIDTH - RIGHT), st.floats(TOP, HEIGHT - BOTTOM)), max_size=12)


@given(PLACES)
def test_no_mark_hides_another_and_all_stand_between_the_axes(places: list[tuple[float, float]]) -> None:
    marks = set_apart(places, 20)
    assert all(dist(one, other) >= 20 for at, one in enumerate(marks) for other in marks[:at])
    assert all(LEFT <= x <= WIDTH - RIGHT and TOP <= y <= HEIGHT - BOTTOM for x, y in marks)


def test_where_all_is_full_a_mark_stands_at_its_place() -> None:
    assert set_apart([(100, 100)] * 2, 10_000) == [(100, 100), (100, 100)]
