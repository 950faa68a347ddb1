"""Releases in memory: each checked and asked its golden queries once, and there for whoever names it then.

They are loaded by a thread of its own, one at a time: who follows the pointer never waits for a release to load, so
that going back from one that is still loading is as quick as any.
"""

from __future__ import annotations

import atexit
import gc
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from contracts.errors import ArtefactError, SlateworkError
from release.bundle.bundle import Release
from serving.metrics import Metrics

LOG = logging.getLogger(__name__)
# A release that could not be loaded is tried again after so many looks: 5 s at 100 ms, each time twice as many.
# Loading costs seconds of CPU that requests need, and what it lacks (a copy under way) takes about that long to come.
LOOKS_BEFORE_RETRY = 50
MOST_LOOKS_BEFORE_RETRY = 800
STOP_WITHIN_S = 5.0  # taking up a release takes a few seconds
# What is frozen at the end would be told as leaked.
atexit.register(gc.unfreeze)


@dataclass(frozen=True)
class FailedLoad:
    """Why a release could not be loaded, and how many looks to let pass before the next try: `wait`, `looks_left`."""

    problem: SlateworkError
    wait: int
    looks_left: int

    def after_a_look(self) -> FailedLoad:
        """One look later."""
        return replace(self, looks_left=self.looks_left - 1)


class ReleaseShelf:
    """The releases wanted now, by id.

    load: returns a release that may be served, or raises. loaded: called after each try, by the thread that tried.
    """

    def __init__(self, load: Callable[[str], Release], loaded: Callable[[], None], metrics: Metrics) -> None:
        self._load = load
        self._loaded = loaded
        self._metrics = metrics
        self._releases: dict[str, Release] = {}
        self._failed: dict[str, FailedLoad] = {}
        self._wanted: tuple[str, ...] = ()
        self._lock = threading.Lock()  # around every change; reading one of the three needs none
        self._something_to_load = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._load_on, name="release-shelf", daemon=True)

    def start(self) -> None:
        """Begin to load what is wanted."""
        self._thread.start()

    def stop(self) -> None:
        """Load nothing more; a load under way is not waited for longer than a few seconds."""
        self._stopping = True
        self._something_to_load.set()
        self._thread.join(STOP_WITHIN_S)

    def want(self, release_ids: Sequence[str]) -> None:
        """Have exactly these here, loaded in this order; those that failed are one look nearer to their next try."""
        with self._lock:
            self._wanted = tuple(release_ids)
            self._releases = {name: self._releases[name] for name in release_ids if name in self._releases}
            self._failed = {name: self._failed[name].after_a_look() for name in release_ids if name in self._failed}
        if self._next() is not None:
            self._something_to_load.set()

    def find(self, release_id: str) -> Release | None:
        """The release; None while it is being loaded or when it could not be."""
        return self._releases.get(release_id)

    def problem(self, release_id: str) -> SlateworkError | None:
        """Why it could not be loaded; None when nothing is known against it."""
        failed = self._failed.get(release_id)
        return None if failed is None else failed.problem

    def load_wanted(self) -> None:
        """Load what is wanted and not here."""
        while not self._stopping and (release_id := self._next()) is not None:
            self._try(release_id)
            self._loaded()

    def _next(self) -> str | None:
        with self._lock:
            for release_id in self._wanted:
                failed = self._failed.get(release_id)
                if release_id not in self._releases and (failed is None or failed.looks_left < 0):
                    return release_id
        return None

    def _try(self, release_id: str) -> None:
        try:
            release = self._load(release_id)
        except Exception as error:  # noqa: BLE001 - whatever a broken bundle raises, what is served stays
            self._keep_failure(release_id, not_loaded(release_id, error))
            return
        with self._lock:
            self._failed.pop(release_id, None)
            self._releases[release_id] = release
        # What a release and its code hold stays until it is dropped whole. A full pass of the collector over it took a
        # quarter of a second on a busy machine, in the middle of somebody's answer.
        gc.freeze()

    def _keep_failure(self, release_id: str, problem: SlateworkError) -> None:
        self._metrics.switches.labels("refused").inc()
        with self._lock:
            before = self._failed.get(release_id)
            wait = LOOKS_BEFORE_RETRY if before is None else min(2 * before.wait, MOST_LOOKS_BEFORE_RETRY)
            self._failed[release_id] = FailedLoad(problem, wait, wait)

    def _load_on(self) -> None:
        while not self._stopping:
            self._something_to_load.wait()
            self._something_to_load.clear()
            self.load_wanted()


def not_loaded(release_id: str, error: Exception) -> SlateworkError:
    """Why this release is not served."""
    if isinstance(error, SlateworkError):
        return error
    return ArtefactError(
        f"Release {release_id} could not be loaded: {error!r}.",
        "Look at its bundle, or go back: `slate rollback`. It is tried again from time to time.",
    )
