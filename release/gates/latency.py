"""How long the request path takes on a release's golden queries, in this process: without network and store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from contracts.errors import ArtefactError
from release.bundle.manifest import REBUILD

Timer = Callable[[], float]

# Of so many, two are slower than the 99th percentile; of much fewer it would be the slowest one.
MIN_ANSWERS: Final = 240
MOST_TIMES: Final = 3


@dataclass(frozen=True)
class Latency:
    """Of n_answers, in milliseconds."""

    n_answers: int
    median_ms: float
    p99_ms: float


def measure_latency(calls: Sequence[Callable[[], Any]], timer: Timer, most_ms: float) -> Latency:
    """Answer every query once to warm up, and then all of them in rounds until there are MIN_ANSWERS.

    Where p99 is above most_ms, do it again, at most MOST_TIMES in all, and give the quickest: what else runs on a
    machine comes and goes, a slow release stays slow. timer: seconds, like `time.perf_counter`.
    Raises ArtefactError when there is nothing to answer.
    """
    if not calls:
        raise ArtefactError("The release has no golden queries to time.", REBUILD)
    for call in calls:
        call()
    quickest = _measure(calls, timer)
    for _ in range(MOST_TIMES - 1):
        if quickest.p99_ms <= most_ms:
            break
        quickest = min(quickest, _measure(calls, timer), key=lambda latency: latency.p99_ms)
    return quickest


def _measure(calls: Sequence[Callable[[], Any]], timer: Timer) -> Latency:
    n_rounds = -(-MIN_ANSWERS // len(calls))
    taken = np.array([_timed(call, timer) for _ in range(n_rounds) for call in calls]) * 1000
    return Latency(len(taken), float(np.median(taken)), float(np.quantile(taken, 0.99, method="higher")))


def _timed(call: Callable[[], Any], timer: Timer) -> float:
    started = timer()
    call()
    return timer() - started
