"""The request path is timed by the clock it is handed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate, chain, repeat

import numpy as np
import pytest

from contracts.errors import ArtefactError
from release.gates.latency import (
    MIN_ANSWERS,
    MOST_TIMES,
    N_BLOCKS,
    LatencyRatio,
    compare_latency,
    measure_latency,
    resampled_p99,
)


def test_the_first_round_warms_up_and_rounds_go_on_until_there_are_enough() -> None:
    answered: list[int] = []
    calls = [lambda number=number: answered.append(number) for number in range(7)]
    found = measure_latency(calls, iter(range(10_000)).__next__)
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


class Release:
    """Answers as quickly as the made-up machine lets it; kept: which release answered, in order."""

    def __init__(self, machine: Machine, name: str, seconds: float) -> None:
        self.calls = [lambda: machine.spend(name, seconds)] * 24


class Machine:
    """A clock that answers move. slowness: how many times as long the answer of this number takes."""

    def __init__(self, slowness: Callable[[int], float] = lambda number: 1.0) -> None:
        self.now = 0.0
        self.answered: list[str] = []
        self._slowness = slowness

    def spend(self, name: str, seconds: float) -> None:
        self.now += seconds * self._slowness(len(self.answered))
        self.answered.append(name)

    def compare(self, ours: float, theirs: float, most: float) -> LatencyRatio:
        challenger, champion = Release(self, "challenger", ours), Release(self, "champion", theirs)
        return compare_latency(challenger.calls, champion.calls, lambda: self.now, most, np.random.default_rng(7))


def test_two_releases_answer_in_turns_and_who_is_first_changes() -> None:
    machine = Machine()
    found = machine.compare(0.006, 0.004, most=2)
    assert (found.ratio, found.low, found.high) == (pytest.approx(1.5),) * 3
    assert (found.ours.p99_ms, found.theirs.p99_ms) == (pytest.approx(6), pytest.approx(4))
    timed = machine.answered[48:]  # after both were warmed up
    assert len(timed) == 2 * MIN_ANSWERS
    assert timed[:48] == ["challenger", "champion"] * 24
    assert timed[48:96] == ["champion", "challenger"] * 24


@pytest.mark.parametrize("slowness", [50.0, 1e6])
def test_a_machine_that_is_slow_from_beginning_to_end_changes_no_ratio(slowness: float) -> None:
    assert Machine(lambda _: slowness).compare(0.006, 0.004, most=2).ratio == pytest.approx(1.5)


def test_one_busy_moment_that_meets_the_challenger_alone_refuses_nobody() -> None:
    busy = range(97, 137, 2)  # in the second round the challenger answers second
    machine = Machine(lambda number: 40.0 if number in busy else 1.0)
    found = machine.compare(0.004, 0.004, most=2)
    assert found.ratio == pytest.approx(40)
    assert found.low == pytest.approx(1)
    assert len(machine.answered) == 48 + 2 * MIN_ANSWERS  # and it is not measured again for it


def test_a_slow_release_is_slow_each_time() -> None:
    machine = Machine()
    assert machine.compare(0.012, 0.004, most=2).low == pytest.approx(3)
    assert len(machine.answered) == 48 + 2 * MIN_ANSWERS * MOST_TIMES


@pytest.mark.parametrize("n_answers", [10, 13, 99, 240, 245, 1003])
def test_the_percentile_of_a_resample_is_that_of_its_stretches_one_after_the_other(n_answers: int) -> None:
    rng = np.random.default_rng(n_answers)
    taken = rng.integers(1, n_answers, n_answers) / 1000  # some take equally long
    stretches = np.array_split(taken, N_BLOCKS)
    drawn = rng.integers(N_BLOCKS, size=(50, N_BLOCKS))
    times_drawn = np.array([np.bincount(row, minlength=N_BLOCKS) for row in drawn])
    slow = [np.quantile(np.concatenate([stretches[at] for at in row]), 0.99, method="higher") for row in drawn]
    assert resampled_p99(taken, times_drawn).tolist() == slow


def test_nothing_to_answer_is_no_release() -> None:
    with pytest.raises(ArtefactError, match="no golden queries"):
        measure_latency([], iter(range(9)).__next__)
