"""How long the request path takes on golden queries, in this process: without network and store.

Milliseconds say more of the machine than of the release. So a release is compared with the one in production: both
answer in turns, and what the machine does beside that meets both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

import numpy as np

from contracts.errors import ArtefactError
from release.bundle.manifest import REBUILD

Timer = Callable[[], float]
Calls = Sequence[Callable[[], Any]]
Seconds = np.ndarray[Any, np.dtype[np.float64]]
Counts = np.ndarray[Any, np.dtype[np.int64]]

# Of so many, two are slower than the 99th percentile; of much fewer it would be the slowest one.
MIN_ANSWERS: Final = 240
P99: Final = 0.99
MOST_TIMES: Final = 3
N_BLOCKS: Final = 10  # stretches of time; a busy moment is in one or two of them, and most resamples have it not
N_RESAMPLES: Final = 1000


@dataclass(frozen=True)
class Latency:
    """Of n_answers, in milliseconds."""

    n_answers: int
    median_ms: float
    p99_ms: float

    @classmethod
    def of(cls, taken: Seconds) -> Latency:
        return cls(len(taken), float(np.median(taken)) * 1000, _p99(taken) * 1000)


@dataclass(frozen=True)
class LatencyRatio:
    """p99 of one release over that of another; low, high: its 95% interval."""

    ours: Latency
    theirs: Latency
    ratio: float
    low: float
    high: float


def measure_latency(calls: Calls, timer: Timer, most_ms: float | None = None) -> Latency:
    """Answer every query once to warm up, and then all of them in rounds until there are MIN_ANSWERS.

    Where p99 is above most_ms, do it again, at most MOST_TIMES in all, and give the quickest: what else runs on a
    machine comes and goes, a slow release stays slow. timer: seconds, like `time.perf_counter`.
    Raises ArtefactError when there is nothing to answer.
    """
    _warm_up(calls)
    quickest = Latency.of(_seconds_taken(calls, timer))
    for _ in range(MOST_TIMES - 1):
        if most_ms is None or quickest.p99_ms <= most_ms:
            break
        quickest = min(quickest, Latency.of(_seconds_taken(calls, timer)), key=lambda latency: latency.p99_ms)
    return quickest


def compare_latency(ours: Calls, theirs: Calls, timer: Timer, most: float, rng: np.random.Generator) -> LatencyRatio:
    """Let two releases answer in turns, each its own queries, as `measure_latency` would; compare their p99.

    The interval comes from resampling stretches of time, the same ones of both. Where its lower end is above most, do
    it again, at most MOST_TIMES in all, and give the lowest: by chance one release has all of a busy moment.
    Raises ArtefactError when one of them has nothing to answer.
    """
    _warm_up(ours)
    _warm_up(theirs)
    lowest = _compare(ours, theirs, timer, rng)
    for _ in range(MOST_TIMES - 1):
        if lowest.low <= most:
            break
        lowest = min(lowest, _compare(ours, theirs, timer, rng), key=lambda compared: compared.low)
    return lowest


def _warm_up(calls: Calls) -> None:
    if not calls:
        raise ArtefactError("The release has no golden queries to time.", REBUILD)
    for call in calls:
        call()


def _compare(ours: Calls, theirs: Calls, timer: Timer, rng: np.random.Generator) -> LatencyRatio:
    our_seconds, their_seconds = _seconds_in_turns(ours, theirs, timer)
    ratios = _resampled_ratios(our_seconds, their_seconds, rng)
    low, high = np.quantile(ratios, (0.025, 0.975))
    ratio = _p99(our_seconds) / _p99(their_seconds)
    return LatencyRatio(Latency.of(our_seconds), Latency.of(their_seconds), ratio, float(low), float(high))


def _seconds_taken(calls: Calls, timer: Timer) -> Seconds:
    return np.array([_timed(call, timer) for _ in range(_n_rounds(calls)) for call in calls])


def _seconds_in_turns(ours: Calls, theirs: Calls, timer: Timer) -> tuple[Seconds, Seconds]:
    """What each answer took, in the order of time; who is first changes from round to round."""
    taken: tuple[list[float], list[float]] = ([], [])
    for number in range(max(_n_rounds(ours), _n_rounds(theirs))):
        for pair in zip_longest(ours, theirs):
            for side in (0, 1) if number % 2 == 0 else (1, 0):
                call = pair[side]
                if call is not None:
                    taken[side].append(_timed(call, timer))
    return np.array(taken[0]), np.array(taken[1])


def _resampled_ratios(ours: Seconds, theirs: Seconds, rng: np.random.Generator) -> Seconds:
    drawn = rng.integers(N_BLOCKS, size=(N_RESAMPLES, N_BLOCKS))
    times_drawn = (drawn[:, :, None] == np.arange(N_BLOCKS)).sum(axis=1)
    return resampled_p99(ours, times_drawn) / resampled_p99(theirs, times_drawn)


def resampled_p99(taken: Seconds, times_drawn: Counts) -> Seconds:
    """The 99th percentile of each resample of stretches of time, as `numpy.quantile` with method="higher" gives it.

    taken: what each answer took, in the order of time; times_drawn: (n_resamples, N_BLOCKS), how often a resample has
    each of the N_BLOCKS stretches.
    """
    lengths = np.array([len(stretch) for stretch in np.array_split(taken, N_BLOCKS)])
    stretch_of = np.repeat(np.arange(N_BLOCKS), lengths)
    slowest_first = np.argsort(-taken)
    n_answers = times_drawn @ lengths
    n_slower = n_answers - 1 - np.ceil((n_answers - 1) * P99).astype(np.int64)
    n_as_slow = np.cumsum(times_drawn[:, stretch_of[slowest_first]], axis=1)
    return np.asarray(taken[slowest_first[np.argmax(n_as_slow > n_slower[:, None], axis=1)]])


def _p99(taken: Seconds) -> float:
    return float(np.quantile(taken, P99, method="higher"))


def _n_rounds(calls: Calls) -> int:
    return -(-MIN_ANSWERS // len(calls))


def _timed(call: Callable[[], Any], timer: Timer) -> float:
    started = timer()
    call()
    return timer() - started
