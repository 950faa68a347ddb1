"""What happened while requests were answered: how long each step took, and what had to be done without."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

TOTAL = "total"


class Trace:
    """Collects the milliseconds of each step that n requests take together, and what was missing, in the order missed.

    earlier_ms: what one of them had taken before.
    """

    def __init__(self, n_requests: int, earlier_ms: Mapping[str, float] | None = None) -> None:
        self._started = time.perf_counter()
        self._n_requests = n_requests
        self._earlier_ms = dict(earlier_ms or {})
        self._steps: dict[str, float] = {}
        self._missed: dict[str, None] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time what happens inside under this name."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._steps[name] = self._steps.get(name, 0.0) + _ms_since(started)

    def note_missing(self, what: str) -> None:
        """Note that the answer is degraded: `what` was away or failed."""
        self._missed[what] = None

    @property
    def degraded(self) -> tuple[str, ...]:
        return tuple(self._missed)

    def timings_ms(self) -> dict[str, float]:
        """One request's share of the milliseconds, by step, and last the `total` since the requests came in."""
        own = {**self._steps, TOTAL: _ms_since(self._started)}
        names = [*dict.fromkeys(name for name in (*self._earlier_ms, *own) if name != TOTAL), TOTAL]
        return {
            name: round(self._earlier_ms.get(name, 0.0) + own.get(name, 0.0) / self._n_requests, 3) for name in names
        }


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
