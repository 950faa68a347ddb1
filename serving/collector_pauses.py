"""How long Python's garbage collector stops this process: every thread waits for it."""

from __future__ import annotations

import gc
import time
from collections import deque
from typing import Any

KEPT = 10_000  # pauses that nobody has asked about yet; some a second come


class CollectorPauses:
    """Notes the pauses between `start` and `stop`. It takes no lock: a pause may begin wherever something is made."""

    def __init__(self) -> None:
        self._began = 0.0
        self._pauses: deque[tuple[int, float]] = deque(maxlen=KEPT)

    def start(self) -> None:
        """Note every pause from here on."""
        gc.callbacks.append(self._note)

    def stop(self) -> None:
        """Note no more."""
        gc.callbacks.remove(self._note)

    def take(self) -> list[tuple[int, float]]:
        """The generation that was collected and the seconds that it took, of every pause since the last call."""
        return [self._pauses.popleft() for _ in range(len(self._pauses))]

    def _note(self, phase: str, info: dict[str, Any]) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        else:
            self._pauses.append((info["generation"], time.perf_counter() - self._began))
