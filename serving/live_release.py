"""The release being served: one immutable reference that follows the pointer, swapped in one assignment."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from contracts.clock import Clock
from contracts.errors import ArtefactError, SlateworkError, StoreError, StoreUnavailable
from contracts.features import FeatureReader
from contracts.slates import RecommendRequest, Slate
from feature_store.pointer import Pointer
from release.bundle import Release
from release.request_path import answer
from serving.last_pointer import LastPointer
from serving.metrics import Metrics
from serving.production import Production, StoreAway

LOG = logging.getLogger(__name__)
# A pointer that could not be taken up is tried again after so many looks: 5 s at 200 ms. Loading a bundle costs
# seconds of CPU that requests need, and what it lacks (a copy under way) takes about that long to come.
LOOKS_BEFORE_RETRY = 25
NO_RELEASE = StoreError("No release is in production.", "Promote one: `slate promote VERSION`.")
STARTING = StoreError("The server is starting.", "Ask again in a moment.")
STOP_WITHIN_S = 5.0  # a look at the pointer takes milliseconds, taking up a release a few seconds
POINTER_GONE = "pointer"


@dataclass(frozen=True)
class Served:
    """One release, one generation of values and one clock; a request takes it once and uses nothing else.

    online: whether the reader reaches Redis; missing: what every answer has to do without meanwhile.
    """

    pointer: Pointer
    release: Release
    reader: FeatureReader
    clock: Clock
    online: bool
    missing: tuple[str, ...] = ()

    def answer(self, request: RecommendRequest) -> Slate:
        """The request path's slate, naming also what this server does without.

        Values in Redis that are not this release's are never mixed in: it is answered without any.
        """
        try:
            slate = answer(self.release, self.reader, self.clock, request)
        except ArtefactError as error:
            LOG.warning("Redis holds what release %s cannot read: %s", self.release.release_id, error)
            without = StoreAway(self.pointer.generation_id, error.problem, error.next_step)
            slate = answer(self.release, without, self.clock, request)
        return replace(slate, degraded=(*slate.degraded, *self.missing)) if self.missing else slate


@dataclass(frozen=True)
class Sighting:
    """What one look at the pointer found: the one to serve, whether Redis answered, and what was wrong."""

    pointer: Pointer | None
    online: bool
    problem: SlateworkError | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """What answers must name as missing; a Redis that is away is named by the request path itself."""
        return (POINTER_GONE,) if self.online and self.problem is not None else ()


@dataclass
class Refusal:
    """A pointer that could not be taken up, why, and how many looks to let pass before the next try."""

    pointer: Pointer
    problem: SlateworkError
    looks_to_wait: int = LOOKS_BEFORE_RETRY


class LiveRelease:
    """Follows the pointer: a thread looks every `poll_ms`, takes a new release up, and then swaps the reference.

    A release is loaded, checked and asked its golden queries before the swap; requests under way finish on the old
    one. When that fails the old one stays, and `problem` says why. When Redis is away the same release goes on
    without live values; a server that starts then takes the last pointer it kept on disk.
    """

    def __init__(
        self,
        production: Production,
        last: LastPointer,
        make_clock: Callable[[Release], Clock],
        metrics: Metrics,
        poll_ms: int,
    ) -> None:
        self._production = production
        self._last = last
        self._make_clock = make_clock
        self._metrics = metrics
        self._poll_s = poll_ms / 1000
        self._served: Served | None = None
        self._problem: SlateworkError | None = STARTING
        self._refusal: Refusal | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="live-release", daemon=True)

    @property
    def current(self) -> Served | None:
        """What is served now; None until the first release answered its golden queries."""
        return self._served

    @property
    def problem(self) -> SlateworkError | None:
        """Why nothing is served, or what keeps the server from following the pointer; None when all is well."""
        return self._problem

    def start(self) -> None:
        """Begin to follow the pointer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop following; what is served stays. A look that hangs (a Redis that never answers) is not waited for."""
        self._stopping.set()
        self._thread.join(STOP_WITHIN_S)

    def look(self) -> None:
        """Look at the pointer once, and serve what it names."""
        sighting = self._sight()
        self._metrics.store_reachable.set(sighting.online)
        try:
            self._serve(sighting)
            problem = sighting.problem
        except SlateworkError as error:
            problem = error
        self._note(problem)

    def _follow(self) -> None:
        while True:
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - the thread's outermost boundary: it must go on looking
                self._note(StoreError(f"Looking at the pointer failed: {error!r}.", "Look at Redis: `slate doctor`."))
            if self._stopping.wait(self._poll_s):
                return

    def _sight(self) -> Sighting:
        last = self._last.read() if self._served is None else self._served.pointer
        try:
            pointer = self._production.pointer()
        except StoreUnavailable as error:
            return Sighting(last, online=False, problem=error)
        except StoreError as error:
            return Sighting(last, online=True, problem=error)
        if pointer is None:
            return Sighting(last, online=True, problem=NO_RELEASE if last is None else _pointer_gone(last))
        return Sighting(pointer, online=True)

    def _serve(self, sighting: Sighting) -> None:
        """Serve what was sighted; raises, with the old release still served, when that cannot be done."""
        if self._served is not None:
            self._served = self._reconnected(self._served, sighting)
        if sighting.pointer is not None and (self._served is None or self._served.pointer != sighting.pointer):
            self._take_up(sighting.pointer, sighting)

    def _reconnected(self, served: Served, sighting: Sighting) -> Served:
        """The same release and generation, read through Redis or without it, as the sighting has it."""
        if (served.online, served.missing) == (sighting.online, sighting.missing):
            return served
        reader = served.reader
        if served.online != sighting.online:
            reader = self._reader(served.release, served.pointer.generation_id, sighting)
        return replace(served, reader=reader, online=sighting.online, missing=sighting.missing)

    def _take_up(self, pointer: Pointer, sighting: Sighting) -> None:
        refused = self._refusal
        if refused is not None and refused.pointer == pointer and refused.looks_to_wait > 0:
            refused.looks_to_wait -= 1
            raise refused.problem
        try:
            taken_up = self._load(pointer, sighting)
        except Exception as error:  # whatever a broken bundle raises, the release in production stays
            self._metrics.switches.labels("refused").inc()
            self._refusal = Refusal(pointer, _not_taken_up(pointer, error))
            raise self._refusal.problem from error
        self._refusal = None
        self._note(sighting.problem)  # before the swap: who reads both never sees the old release's problem
        self._served = taken_up
        self._metrics.switched(pointer)
        self._last.keep(pointer)
        LOG.info("Serving release %s, generation %s.", pointer.release_id, pointer.generation_id)

    def _load(self, pointer: Pointer, sighting: Sighting) -> Served:
        release = self._production.load(pointer.release_id)
        reader = self._reader(release, pointer.generation_id, sighting)
        return Served(pointer, release, reader, self._make_clock(release), sighting.online, sighting.missing)

    def _reader(self, release: Release, generation_id: str, sighting: Sighting) -> FeatureReader:
        if sighting.online or sighting.problem is None:
            return self._production.reader(release, generation_id)
        return StoreAway(generation_id, sighting.problem.problem, sighting.problem.next_step)

    def _note(self, problem: SlateworkError | None) -> None:
        if problem is not None and str(problem) != str(self._problem):
            LOG.warning("%s: %s", type(problem).__name__, problem)
        self._problem = problem


def _not_taken_up(pointer: Pointer, error: Exception) -> SlateworkError:
    if isinstance(error, SlateworkError):
        return error
    return ArtefactError(
        f"Release {pointer.release_id} could not be loaded: {error!r}.",
        f"Look at its bundle, or go back: `slate rollback`. It is tried again every {LOOKS_BEFORE_RETRY} looks.",
    )


def _pointer_gone(last: Pointer) -> SlateworkError:
    return StoreError(
        f"Redis holds no pointer; the last one named release {last.release_id}, which is still served.",
        "`slate sync` writes it again from the journal, and the values with it.",
    )
