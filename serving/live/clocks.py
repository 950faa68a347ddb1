"""Which clock a release is served by, and what a client's time is by that clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Literal

from contracts.clock import Clock, ReleaseClock, WallClock
from release.bundle.bundle import Release

CLOCK_SKEW = timedelta(minutes=5)  # clients' clocks run ahead by seconds, broken ones by hours
CLIENTS_KEEP = timedelta(days=1)  # how long ago a client's event may have been that it sends only now


def clock_maker(kind: Literal["wall", "release"]) -> Callable[[Release], Clock]:
    """How a release gets its clock: the wall's, or its own, which runs on from its `as_of` since this call."""
    if kind == "wall":
        return lambda _release: WallClock()
    started = time.monotonic()
    return lambda release: ReleaseClock(release.as_of, started)


def moment_by_clock(event_ts: datetime | None, now: datetime, wall_now: datetime) -> datetime | None:
    """When an event was, by the clock of the release that answers; None where that is still to come.

    now: by that clock, and the moment of an event that brings none. A time of the last day on the wall, which this
    clock has yet to reach, is the time of a client with a clock of its own: it is as long ago by the one as by the
    other.
    """
    if event_ts is None:
        return now
    if event_ts <= now + CLOCK_SKEW:
        return event_ts.astimezone(UTC)
    is_of_the_wall = wall_now - CLIENTS_KEEP <= event_ts <= wall_now + CLOCK_SKEW
    return now - (wall_now - event_ts) if is_of_the_wall else None
