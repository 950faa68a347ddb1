"""What is served: one immutable lineup that follows the store, swapped in one assignment."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from contracts.clock import Clock
from contracts.errors import SlateworkError, StoreError, StoreUnavailable
from contracts.features import FeatureReader
from contracts.settings.serving import ServingSettings
from feature_store.online.pointer import Pointer
from feature_store.online.serving_targets import Canary, Staged, Traffic
from feature_store.readers.unreachable_reader import UnreachableStoreReader
from release.bundle.bundle import Release
from serving.live.last_pointer import LastPointer
from serving.live.production import Production
from serving.live.release_shelf import ReleaseShelf, not_loaded
from serving.metrics import Metrics
from serving.served import Arm, Lineup, Served

LOG = logging.getLogger(__name__)
NO_RELEASE = StoreError("No release is in production.", "Promote one: `slate promote VERSION`.")
STARTING = StoreError("The server is starting.", "Ask again in a moment.")
STOP_WITHIN_S = 5.0  # a look takes milliseconds, unless Redis hangs
POINTER_GONE = "pointer"
NOTHING_NAMED = Traffic()

Named = Pointer | Staged | Canary


@dataclass(frozen=True)
class View:
    """What the last look came to: who is served what, what the store names, and what keeps an arm from following it.

    lineup: None until the first release answered its golden queries.
    """

    lineup: Lineup | None = None
    traffic: Traffic = NOTHING_NAMED
    problems: Mapping[Arm, SlateworkError] = field(default_factory=dict)


@dataclass(frozen=True)
class Sighting:
    """What one look at the store found: what to serve, whether Redis answered, and what was wrong.

    missing: what answers must name as missing; a Redis that is away is named by the request path itself.
    """

    traffic: Traffic
    online: bool
    problem: SlateworkError | None = None
    missing: tuple[str, ...] = ()


class LiveRelease:
    """Follows the pointer, Staging and the canary: a thread looks every `poll_ms`, and then swaps the lineup.

    What the store names is loaded, checked and asked its golden queries beside what is served, and served at the look
    after that; requests under way finish on what they took. A release that cannot be loaded changes nothing: `problems`
    says why, production stays as it was, and people of a canary get production. The releases served before stay loaded
    (`kept_releases`), so that going back is a matter of one look. When Redis is away everything goes on without live
    values; a server that starts then takes the last pointer it kept on disk.
    """

    def __init__(
        self,
        production: Production,
        last: LastPointer,
        make_clock: Callable[[Release], Clock],
        metrics: Metrics,
        settings: ServingSettings,
    ) -> None:
        self._production = production
        self._last = last
        self._make_clock = make_clock
        self._metrics = metrics
        self._settings = settings
        self._view = View(problems={Arm.PRODUCTION: STARTING})
        self._earlier: tuple[str, ...] = ()  # releases that were in production, the latest first
        self._stopping = threading.Event()
        self._look_now = threading.Event()
        self._shelf = ReleaseShelf(production.load, self._look_now.set, metrics)
        self._thread = threading.Thread(target=self._follow, name="live-release", daemon=True)

    @property
    def view(self) -> View:
        """Everything known now, from one look."""
        return self._view

    @property
    def current(self) -> Lineup | None:
        """What is served now; None until the first release answered its golden queries."""
        return self._view.lineup

    @property
    def problem(self) -> SlateworkError | None:
        """Why nothing is served, or what keeps production from following the pointer; None when all is well."""
        return self._view.problems.get(Arm.PRODUCTION)

    def start(self) -> None:
        """Begin to follow the store."""
        self._shelf.start()
        self._thread.start()

    def stop(self) -> None:
        """Stop following; what is served stays. A look that hangs (a Redis that never answers) is not waited for."""
        self._stopping.set()
        self._look_now.set()
        self._thread.join(STOP_WITHIN_S)
        self._shelf.stop()

    def look(self) -> None:
        """Look at the store once, and serve what it names and is loaded; the rest is loaded meanwhile."""
        sighting = self._sight()
        self._metrics.store_reachable.set(sighting.online)
        self._shelf.want(self._wanted(sighting.traffic))
        problems = {} if sighting.problem is None else {Arm.PRODUCTION: sighting.problem}
        lineup = self._line_up(sighting, problems)
        if lineup is None and not problems:
            problems = {Arm.PRODUCTION: STARTING}
        self._swap(View(lineup, sighting.traffic, problems))

    def load(self) -> None:
        """Load what the last look found to be missing; the server's own thread does so beside the looking."""
        self._shelf.load_wanted()

    def _follow(self) -> None:
        while not self._stopping.is_set():
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - the thread's outermost boundary: it must go on looking
                problem = StoreError(f"Looking at the pointer failed: {error!r}.", "Look at Redis: `slate doctor`.")
                self._swap(replace(self._view, problems={Arm.PRODUCTION: problem}))
            self._look_now.wait(self._settings.poll_ms / 1000)
            self._look_now.clear()

    def _sight(self) -> Sighting:
        last = self._last_traffic()
        try:
            traffic, problem = self._read()
        except StoreUnavailable as error:
            return Sighting(last, online=False, problem=error)
        except StoreError as error:
            return Sighting(last, online=True, problem=error, missing=(POINTER_GONE,))
        if traffic.pointer is None and last.pointer is not None:
            return Sighting(Traffic(last.pointer), True, _pointer_gone(last.pointer), (POINTER_GONE,))
        if traffic.pointer is None:
            return Sighting(NOTHING_NAMED, online=True, problem=NO_RELEASE)
        return Sighting(traffic, online=True, problem=problem)

    def _read(self) -> tuple[Traffic, StoreError | None]:
        """What the store names; where that of Staging or the canary is not to be understood, the pointer alone."""
        try:
            traffic = self._production.traffic()
        except StoreUnavailable:
            raise
        except StoreError as error:
            return Traffic(self._production.pointer()), error
        return traffic if self._settings.staging_header else replace(traffic, staged=None), None

    def _last_traffic(self) -> Traffic:
        """What is served now; before anything is, the pointer kept on disk."""
        lineup = self._view.lineup
        if lineup is not None:
            return replace(self._view.traffic, pointer=lineup.pointer)
        remembered = self._last.read()
        if remembered is None:
            return NOTHING_NAMED
        self._earlier = remembered.earlier
        return Traffic(remembered.pointer)

    def _wanted(self, traffic: Traffic) -> list[str]:
        """The releases to have in memory, the most urgent first."""
        lineup = self._view.lineup
        named = [named.release_id for named in (traffic.pointer, traffic.canary, traffic.staged) if named]
        served = [] if lineup is None else [served.release_id for served in lineup]
        kept = self._earlier[: self._settings.kept_releases - 1]
        return list(dict.fromkeys([*named, *served, *kept]))

    def _line_up(self, sighting: Sighting, problems: dict[Arm, SlateworkError]) -> Lineup | None:
        """Whoever can answer; puts into `problems` what keeps an arm from being what the store names."""
        traffic, before = sighting.traffic, self._view.lineup
        pointer, production = traffic.pointer, self._take_up(Arm.PRODUCTION, traffic.pointer, sighting, problems)
        if production is None and before is not None:
            pointer, production = before.pointer, self._reconnected(before.production, sighting)
        if pointer is None or production is None:
            return None
        canary = self._take_up(Arm.CANARY, traffic.canary, sighting, problems)
        staged = self._take_up(Arm.STAGING, traffic.staged, sighting, problems)
        return Lineup(pointer, production, canary, None if canary is None else traffic.canary, staged)

    def _take_up(
        self, arm: Arm, named: Named | None, sighting: Sighting, problems: dict[Arm, SlateworkError]
    ) -> Served | None:
        if named is None:
            return None
        try:
            served = self._served(arm, named, sighting)
        except Exception as error:  # noqa: BLE001 - one arm that cannot be read must not take the others with it
            problems[arm] = not_loaded(named.release_id, error)
            return None
        refused = self._shelf.problem(named.release_id)
        if served is None and refused is not None:
            problems[arm] = refused
        return served

    def _served(self, arm: Arm, named: Named, sighting: Sighting) -> Served | None:
        """The arm with this release and generation; None while the release is not loaded."""
        release = self._shelf.find(named.release_id)
        if release is None:
            return None
        before = None if self._view.lineup is None else self._view.lineup.arm(arm)
        if before is not None and before.release is release and before.generation_id == named.generation_id:
            return self._reconnected(before, sighting)
        reader = self._reader(release, named.generation_id, sighting)
        return Served(arm, release, reader, self._make_clock(release), sighting.online, sighting.missing)

    def _reconnected(self, served: Served, sighting: Sighting) -> Served:
        """The same release and generation, read through Redis or without it, as the sighting has it."""
        if (served.online, served.missing) == (sighting.online, sighting.missing):
            return served
        reader = served.reader
        if served.online != sighting.online:
            reader = self._reader(served.release, served.generation_id, sighting)
        return replace(served, reader=reader, online=sighting.online, missing=sighting.missing)

    def _reader(self, release: Release, generation_id: str, sighting: Sighting) -> FeatureReader:
        if sighting.online or sighting.problem is None:
            return self._production.reader(release, generation_id)
        return UnreachableStoreReader(generation_id, sighting.problem.problem, sighting.problem.next_step)

    def _swap(self, view: View) -> None:
        before, self._view = self._view, view
        for arm, problem in view.problems.items():
            if str(problem) != str(before.problems.get(arm)):
                LOG.warning("%s: %s: %s", arm, type(problem).__name__, problem)
        if _names(view) != _names(before):
            self._metrics.lined_up(view.lineup, view.problems)
        if view.lineup is not None and (before.lineup is None or view.lineup.pointer != before.lineup.pointer):
            self._remember(view.lineup, before.lineup)

    def _remember(self, lineup: Lineup, before: Lineup | None) -> None:
        """Production answers with another pointer than before."""
        if before is not None:
            left = before.production.release_id
            self._earlier = tuple(dict.fromkeys([left, *self._earlier]))
        served = lineup.production.release_id
        self._earlier = tuple(name for name in self._earlier if name != served)[: self._settings.kept_releases]
        self._metrics.switches.labels("taken_up").inc()
        self._last.keep(lineup.pointer, self._earlier)
        LOG.info("Serving release %s, generation %s.", served, lineup.production.generation_id)


def _names(view: View) -> tuple[object, ...]:
    """What a metric says of a view."""
    if view.lineup is None:
        return (None, *view.problems)
    served = [(served.arm, served.release_id, served.generation_id) for served in view.lineup]
    return (view.lineup.pointer, view.lineup.share, *served, *view.problems)


def _pointer_gone(last: Pointer) -> SlateworkError:
    return StoreError(
        f"Redis holds no pointer; the last one named release {last.release_id}, which is still served.",
        "`slate sync` writes it again from the journal, and the values with it.",
    )
