"""Are the values that are served still in Redis? They are counted from time to time, by a thread of its own, a few at a
time: of a million people in one go, whoever asked meanwhile waited a fifth of a second for the interpreter.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

from contracts.errors import SlateworkError, StoreError
from serving.live.production import Production
from serving.served import Arm, Lineup

LOG = logging.getLogger(__name__)
STOP_WITHIN_S = 5.0
PAUSE_S = 0.02  # for each millisecond of counting: a million people are then counted in a quarter of a minute


class StockCheck:
    """Counts what each arm of the lineup answers with against its receipt, every `every_s` seconds.

    counted: called after each count, by the thread that counted.
    """

    def __init__(
        self, production: Production, lineup: Callable[[], Lineup | None], counted: Callable[[], None], every_s: float
    ) -> None:
        self._production = production
        self._lineup = lineup
        self._counted = counted
        self._every_s = every_s
        self._problems: Mapping[tuple[str, str], SlateworkError] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._count_on, name="stock-check", daemon=True)

    def start(self) -> None:
        """Begin to count."""
        self._thread.start()

    def stop(self) -> None:
        """Count no more; a count under way is not waited for longer than a few seconds."""
        self._stopping.set()
        self._thread.join(STOP_WITHIN_S)

    def problems(self, lineup: Lineup | None) -> dict[Arm, SlateworkError]:
        """What the arms' generations lacked when they were counted last."""
        known = self._problems
        named = {} if lineup is None else {served.arm: (served.release_id, served.generation_id) for served in lineup}
        return {arm: known[names] for arm, names in named.items() if names in known}

    def count(self) -> None:
        """Count once; where Redis cannot be asked, what was known stays."""
        lineup = self._lineup()
        if lineup is None:
            return
        lacking: dict[tuple[str, str], SlateworkError] = {}
        for release_id, generation_id in {(served.release_id, served.generation_id) for served in lineup}:
            try:
                problem = self._production.lacks(release_id, generation_id, self._pause)
            except StoreError:
                problem = self._problems.get((release_id, generation_id))
            if problem is not None:
                lacking[release_id, generation_id] = problem
        self._problems = lacking
        self._counted()

    def _pause(self) -> None:
        self._stopping.wait(PAUSE_S)

    def _count_on(self) -> None:
        while not self._stopping.wait(self._every_s):
            try:
                self.count()
            except Exception:
                LOG.exception("Counting the published values failed; it is tried again.")
