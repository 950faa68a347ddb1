"""How long the request path takes on a release's golden queries, in this process: without network and store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from contracts.errors import ArtefactError
from release.manifest import REBUILD

Timer = Callable[[], float]

# Of so many, two are slower than the 99th percentile; of much fewer it would be the slowest one.
MIN_ANSWERS: Final = 240


@dataclass(frozen=True)
class Latency:
    """Of n_answers, in milliseconds."""

    n_answers: int
    median_ms: float
    p99_ms: float


def measure_latency(calls: Sequence[Callable[[], Any]], timer: Timer) -> Latency:
    """Answer every query once to warm up, and then all of them in rounds until there are MIN_ANSWERS.

    timer: seconds, like `time.perf_counter`. Raises ArtefactError when there is nothing to answer.
    """
    if not calls:
        raise ArtefactError("The release has no golden queries to time.", REBUILD)
    for call in calls:
        call()
    n_rounds = -(-MIN_ANSWERS // len(calls))
    taken = np.array([_timed(call, timer) for _ in range(n_rounds) for call in calls]) * 1000
    return Latency(len(taken), float(np.median(taken)), float(np.quantile(taken, 0.99, method="higher")))


def _timed(call: Callable[[], Any], timer: Timer) -> float:
    started = timer()
    call()
    return timer() - started
