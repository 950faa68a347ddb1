"""What is shed, and when: by hand, from durations that are made up."""

from __future__ import annotations

import pytest

from serving.http.load import Load, ServiceLevel

# 200 ms may be waited: past 50 ms there are fewer candidates, past 100 ms what is popular.
FIVE_MS_EACH = Load(max_wait_ms=200, max_waiting=64, work_ms=5.0)


def late(lag_ms: float) -> Load:
    return Load(max_wait_ms=200, max_waiting=64, work_ms=5.0, lag_ms=lag_ms)


@pytest.mark.parametrize(
    ("n_waiting", "level"),
    [
        (0, ServiceLevel.EVERYTHING),
        (10, ServiceLevel.EVERYTHING),  # 10 x 5 ms: 50 ms, and no more
        (11, ServiceLevel.FEWER_CANDIDATES),
        (20, ServiceLevel.FEWER_CANDIDATES),  # 100 ms
        (21, ServiceLevel.POPULAR),
        (63, ServiceLevel.POPULAR),
    ],
)
def test_the_longer_the_expected_wait_the_more_is_shed(n_waiting: int, level: ServiceLevel) -> None:
    assert FIVE_MS_EACH.level(n_waiting) is level


@pytest.mark.parametrize(
    ("left_ms", "level"),
    [(25.0, ServiceLevel.EVERYTHING), (25.1, ServiceLevel.FEWER_CANDIDATES), (75.1, ServiceLevel.POPULAR)],
)
def test_what_is_under_way_is_waited_for_too(left_ms: float, level: ServiceLevel) -> None:
    assert FIVE_MS_EACH.level(5, left_ms) is level


def test_of_what_is_under_way_is_left_what_was_not_worked_yet() -> None:
    assert FIVE_MS_EACH.left_ms(16, since_ms=30.0) == 16 * 5.0 - 30.0
    assert FIVE_MS_EACH.left_ms(2, since_ms=30.0) == 0.0  # it takes longer than most: nobody knows how much


@pytest.mark.parametrize(
    ("lag_ms", "level"),
    [(20.0, ServiceLevel.EVERYTHING), (22.6, ServiceLevel.FEWER_CANDIDATES), (47.6, ServiceLevel.POPULAR)],
)
def test_a_late_loop_is_waited_for_twice_before_the_request_and_before_its_answer(
    lag_ms: float, level: ServiceLevel
) -> None:
    assert late(lag_ms).level(1) is level  # 5 ms for the one that waits, and 2 x lag


def test_what_a_request_has_waited_since_it_was_read_counts() -> None:
    assert [FIVE_MS_EACH.level(1, waited_ms=waited_ms) for waited_ms in (45.0, 45.1, 95.1)] == [
        ServiceLevel.EVERYTHING,
        ServiceLevel.FEWER_CANDIDATES,
        ServiceLevel.POPULAR,
    ]


def test_nobody_is_refused_for_what_is_only_expected() -> None:
    hours = Load(max_wait_ms=200, max_waiting=64, work_ms=3_600_000.0)
    assert hours.level(1, left_ms=3_600_000.0) is ServiceLevel.POPULAR


def test_who_has_waited_longer_than_all_of_it_is_refused_while_others_wait() -> None:
    assert FIVE_MS_EACH.level(1, waited_ms=200.0) is ServiceLevel.POPULAR
    assert FIVE_MS_EACH.level(1, waited_ms=200.1) is ServiceLevel.NOTHING
    assert late(150.0).level(1, waited_ms=50.1) is ServiceLevel.NOTHING  # 150 ms before it was read
    assert late(150.0).level(0, left_ms=10.0, waited_ms=50.1) is ServiceLevel.POPULAR


def test_a_server_that_nobody_waits_for_sheds_nothing_though_it_stood_still() -> None:
    assert late(1000.0).level(0, waited_ms=1000.0) is ServiceLevel.EVERYTHING


def test_past_the_bound_of_the_queue_there_is_what_is_popular_however_quick_an_answer_is() -> None:
    quick = Load(max_wait_ms=200, max_waiting=3)
    assert [quick.level(n_waiting) for n_waiting in (2, 3)] == [ServiceLevel.EVERYTHING, ServiceLevel.POPULAR]


def test_an_idle_server_sheds_nothing_though_nobody_may_wait() -> None:
    assert Load(max_wait_ms=200, max_waiting=0, work_ms=1000.0).level(0) is ServiceLevel.EVERYTHING


@pytest.mark.parametrize(("work_ms", "most"), [(0.0, 16), (3.1, 16), (5.0, 10), (12.5, 4), (60.0, 4)])
def test_as_many_are_answered_at_once_as_take_a_quarter_of_the_longest_wait(work_ms: float, most: int) -> None:
    assert Load(max_wait_ms=200, max_waiting=64, work_ms=work_ms).most_together() == most


def test_the_work_of_an_answer_is_a_mean_in_which_the_latest_weighs_a_twentieth() -> None:
    load = Load(max_wait_ms=200, max_waiting=64)
    load.note_work(1, 20.0)
    assert load.work_ms == pytest.approx(1.0)  # 20 / 20
    load.note_work(1, 39.0)
    assert load.work_ms == pytest.approx(0.95 * 1.0 + 39 / 20)
    together, one_by_one = Load(200, 64), Load(200, 64)
    together.note_work(16, 48.0)
    for _ in range(16):
        one_by_one.note_work(1, 3.0)
    assert together.work_ms == pytest.approx(one_by_one.work_ms)


def test_one_slow_answer_on_a_fresh_server_sheds_nothing_of_a_small_burst() -> None:
    load = Load(max_wait_ms=200, max_waiting=64)
    load.note_work(1, 200.0)  # the first answer reads what no answer has read before
    assert load.level(4) is ServiceLevel.EVERYTHING
