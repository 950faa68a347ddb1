"""What is shed, and when: by hand, from durations that are made up."""

from __future__ import annotations

import pytest

from serving.http.load import Load, ServiceLevel

# A full second may be waited: past 50 ms there are fewer candidates, past 100 ms what is popular.
TEN_MS_EACH = Load(max_wait_ms=1000, max_waiting=64, n_threads=2, work_ms=10.0)


@pytest.mark.parametrize(
    ("n_waiting", "level"),
    [
        (0, ServiceLevel.EVERYTHING),
        (10, ServiceLevel.EVERYTHING),  # 10 x 10 ms / 2 threads: 50 ms, and no more
        (11, ServiceLevel.FEWER_CANDIDATES),
        (20, ServiceLevel.FEWER_CANDIDATES),  # 100 ms
        (21, ServiceLevel.POPULAR),
        (63, ServiceLevel.POPULAR),
    ],
)
def test_the_longer_the_expected_wait_the_more_is_shed(n_waiting: int, level: ServiceLevel) -> None:
    assert TEN_MS_EACH.level(n_waiting) is level


def test_nobody_is_refused_for_what_is_only_expected() -> None:
    hours = Load(max_wait_ms=1000, max_waiting=64, n_threads=1, work_ms=3_600_000.0)
    assert hours.level(1) is ServiceLevel.POPULAR


def test_who_has_waited_longer_than_all_of_it_is_refused_while_others_wait() -> None:
    assert TEN_MS_EACH.level(1, waited_ms=1000.0) is ServiceLevel.EVERYTHING
    assert TEN_MS_EACH.level(1, waited_ms=1000.1) is ServiceLevel.NOTHING
    assert TEN_MS_EACH.level(0, waited_ms=1000.1) is ServiceLevel.EVERYTHING  # the server stood still, and is idle now


def test_past_the_bound_of_the_queue_there_is_what_is_popular_however_quick_an_answer_is() -> None:
    quick = Load(max_wait_ms=1000, max_waiting=3, n_threads=2)
    assert [quick.level(n_waiting) for n_waiting in (2, 3)] == [ServiceLevel.EVERYTHING, ServiceLevel.POPULAR]


def test_an_idle_server_sheds_nothing_though_nobody_may_wait() -> None:
    assert Load(max_wait_ms=1000, max_waiting=0, n_threads=2, work_ms=1000.0).level(0) is ServiceLevel.EVERYTHING


def test_the_work_of_an_answer_is_a_mean_in_which_the_latest_weighs_a_twentieth() -> None:
    load = Load(max_wait_ms=1000, max_waiting=64, n_threads=1)
    load.note_work(1, 20.0)
    assert load.work_ms == pytest.approx(1.0)  # 20 / 20
    load.note_work(1, 39.0)
    assert load.work_ms == pytest.approx(0.95 * 1.0 + 39 / 20)
    together, one_by_one = Load(1000, 64, 1), Load(1000, 64, 1)
    together.note_work(16, 48.0)
    for _ in range(16):
        one_by_one.note_work(1, 3.0)
    assert together.work_ms == pytest.approx(one_by_one.work_ms)


def test_one_slow_answer_on_a_fresh_server_sheds_nothing_of_a_small_burst() -> None:
    load = Load(max_wait_ms=1000, max_waiting=64, n_threads=2)
    load.note_work(1, 400.0)  # the first answer reads what no answer has read before
    assert load.level(4) is ServiceLevel.EVERYTHING
