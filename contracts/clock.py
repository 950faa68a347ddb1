"""One clock. Whoever needs the time is handed a Clock; nobody calls time.time() or datetime.now()."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time, timezone-aware UTC."""

    def now(self) -> datetime: ...


@dataclass(frozen=True)
class WallClock:
    """The time on the wall."""

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(frozen=True)
class ReleaseClock:
    """The time in the release's own world: `as_of` plus what has passed since this clock was made.

    For historical data: MovieLens 100K ends in 1998, and a week of recency must mean a week before that.
    """

    as_of: datetime
    started: float = field(default_factory=time.monotonic)

    def now(self) -> datetime:
        return self.as_of + timedelta(seconds=time.monotonic() - self.started)


@dataclass(frozen=True)
class FixedClock:
    """Always the same moment: evaluation, golden queries, tests."""

    moment: datetime

    def now(self) -> datetime:
        return self.moment


def epoch_ms(moment: datetime) -> int:
    """Whole milliseconds since the epoch, as they are on the wire."""
    return int(moment.timestamp() * 1000)
