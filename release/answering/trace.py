"""What happened while one request was answered: how long each step took, and what had to be done without."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Trace:
    """Collects the milliseconds of each step, and what was missing, in the order it was missed."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
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
        """Note that the answer stands a rung lower because `what` was away or failed."""
        self._missed[what] = None

    @property
    def degraded(self) -> tuple[str, ...]:
        return tuple(self._missed)

    def timings_ms(self) -> dict[str, float]:
        """Milliseconds by step, and `total` since the request came in."""
        return {**self._steps, "total": _ms_since(self._started)}


def _ms_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)
