"""Which clock a release is served by."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from contracts.clock import Clock, ReleaseClock, WallClock
from release.bundle.bundle import Release


def clock_maker(kind: Literal["wall", "release"]) -> Callable[[Release], Clock]:
    """How a release gets its clock: the wall's, or its own, which runs on from its `as_of` since this call."""
    if kind == "wall":
        return lambda _release: WallClock()
    started = time.monotonic()
    return lambda release: ReleaseClock(release.as_of, started)
