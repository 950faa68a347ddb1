"""How late the event loop comes to what waits for it: a request that arrived, or an answer that is to be written.

No request can tell it: until the loop reads its bytes, nobody knows of it. A timer waits for the loop as they do.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

BEAT_S = 0.02
# What counts is the last fifth of a second: one pause of 50 ms on an idle machine is no load, and load is soon seen.
MEAN_OVER_S = 0.2


class LoopLag:
    """Looks at the clock every BEAT_S, from `start` to `stop`, in the running loop.

    note: is handed the mean and the latest lateness, in milliseconds.
    """

    def __init__(self, note: Callable[[float, float], None], clock: Callable[[], float] = time.perf_counter) -> None:
        self._note = note
        self._clock = clock
        self._mean_ms = 0.0
        self._looked = 0.0
        self._next: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to look."""
        self._looked = self._clock()
        self._next = asyncio.get_running_loop().call_later(BEAT_S, self.look)

    def stop(self) -> None:
        """Look no more."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def look(self) -> None:
        """Note how late this came, and come again."""
        now = self._clock()
        late_ms = 1000 * max(now - self._looked - BEAT_S, 0.0)
        kept = math.exp(-(now - self._looked) / MEAN_OVER_S)
        self._mean_ms = kept * self._mean_ms + (1 - kept) * late_ms
        self._note(self._mean_ms, late_ms)
        self._looked = now
        self._next = asyncio.get_running_loop().call_later(BEAT_S, self.look)
