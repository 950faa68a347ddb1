"""The request path is timed by the clock it is handed."""

from __future__ import annotations

from itertools import accumulate, chain, repeat

import pytest

from contracts.errors import ArtefactError
from release.gates.latency import MIN_ANSWERS, measure_latency


def test_the_first_round_warms_up_and_rounds_go_on_until_there_are_enough() -> None:
    answered: list[int] = []
    calls = [lambda number=number: answered.append(number) for number in range(7)]
    found = measure_latency(calls, iter(range(10_000)).__next__, 10_000)
    assert found.n_answers == 245 >= MIN_ANSWERS  # 35 rounds of 7
    assert len(answered) == 7 + 245
    assert answered[:14] == [*range(7), *range(7)]


def test_the_figures_are_milliseconds_by_the_timer() -> None:
    # 240 answers take 2 ms each, but for the last three, which take 50 ms: two may be slower than the 99th percentile.
    taken = [0.002] * 237 + [0.05] * 3
    ticks = accumulate(chain.from_iterable(zip(repeat(1.0), taken, strict=False)))
    found = measure_latency([lambda: None] * 24, ticks.__next__, most_ms=51)
    assert found.median_ms == pytest.approx(2)
    assert found.p99_ms == pytest.approx(50)


@pytest.mark.parametrize(
    ("p99s", "n_measured", "told"), [([9], 1, 9), ([50, 9], 2, 9), ([50, 70, 9], 3, 9), ([70, 50, 60, 9], 3, 50)]
)
def test_a_machine_that_was_busy_is_measured_again_and_a_slow_release_is_slow_each_time(
    p99s: list[int], n_measured: int, told: int
) -> None:
    taken = chain.from_iterable([p99 / 1000] * MIN_ANSWERS for p99 in p99s)
    ticks = accumulate(chain.from_iterable(zip(repeat(1.0), taken, strict=False)))
    answered: list[None] = []
    found = measure_latency([lambda: answered.append(None)] * 24, ticks.__next__, most_ms=10)
    assert found.p99_ms == pytest.approx(told)
    assert len(answered) == 24 + n_measured * MIN_ANSWERS


def test_nothing_to_answer_is_no_release() -> None:
    with pytest.raises(ArtefactError, match="no golden queries"):
        measure_latency([], iter(range(9)).__next__, 1)
