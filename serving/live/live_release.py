"""What is served: one immutable lineup that follows the store, swapped in one assignment.

the last pointer -> what the store says now -> the releases to have in memory -> the next lineup -> swap
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace

from contracts.clock import Clock
from contracts.errors import SlateworkError, StoreError
from contracts.settings.serving import ServingSettings
from feature_store.online.serving_targets import ServingTargets
from release.bundle.bundle import Release
from serving.live.last_pointer import LastPointer
from serving.live.live_state import LiveState
from serving.live.next_lineup import STARTING, ArmBuilder, next_lineup
from serving.live.production import Production
from serving.live.release_shelf import ReleaseShelf
from serving.live.stock_check import StockCheck
from serving.live.store_state import NOTHING_NAMED, read_store_state
from serving.metrics import Metrics
from serving.served import Arm, Lineup

LOG = logging.getLogger(__name__)
STOP_WITHIN_S = 5.0  # a look takes milliseconds, unless Redis hangs


class LiveRelease:
    """Follows the pointer, Staging and the canary: a thread looks every `poll_ms`, and then swaps the lineup.

    What the store names is loaded, checked and asked its golden queries beside what is served, and served at the look
    after that; requests under way finish on what they took. A release that cannot be loaded changes nothing:
    `state.problems` says why, production stays as it was, and people of a canary get production. The releases served
    before stay loaded (`kept_releases`), so that going back is a matter of one look. When Redis is away everything goes
    on without live values; a server that starts then takes the last pointer it kept on disk. What is served and is not
    wholly in Redis is a problem of its arm: see `stock`.
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
        self._metrics = metrics
        self._settings = settings
        self._state = LiveState(problems={Arm.PRODUCTION: STARTING})
        self._stopping = threading.Event()
        self._look_now = threading.Event()
        self._shelf = ReleaseShelf(production.load, self._look_now.set, metrics)
        self._arms = ArmBuilder(production, self._shelf, make_clock)
        self.stock = StockCheck(production, lambda: self.current, self._look_now.set, settings.values_check_s)
        self._thread = threading.Thread(target=self._follow, name="live-release", daemon=True)

    @property
    def state(self) -> LiveState:
        """Everything known now, from one look."""
        return self._state

    @property
    def current(self) -> Lineup | None:
        """What is served now; None until the first release answered its golden queries."""
        return self._state.lineup

    @property
    def problem(self) -> SlateworkError | None:
        """Why nothing is served, or what keeps production from following the pointer; None when all is well."""
        return self._state.problems.get(Arm.PRODUCTION)

    def start(self) -> None:
        """Begin to follow the store."""
        self._shelf.start()
        self._thread.start()
        self.stock.start()

    def stop(self) -> None:
        """Stop following; what is served stays. A look that hangs (a Redis that never answers) is not waited for."""
        self._stopping.set()
        self._look_now.set()
        self._thread.join(STOP_WITHIN_S)
        self._shelf.stop()
        self.stock.stop()

    def look(self) -> None:
        """Look at the store once, and serve what it names and is loaded; the rest is loaded meanwhile."""
        before, n_kept = self._last_known(), self._settings.kept_releases
        store = read_store_state(self._production, before.served_targets, with_staging=self._settings.staging_header)
        self._metrics.store_reachable.set(store.online)
        self._shelf.want(before.releases_to_have(store.targets, n_kept))
        lineup, problems = next_lineup(self._arms, store, before.lineup)
        problems = {**self.stock.problems(lineup), **problems}  # what keeps an arm from following comes first
        self._swap(before.followed_by(lineup, store.targets, problems, n_kept))

    def load(self) -> None:
        """Load what the last look found to be missing; the server's own thread does so beside the looking."""
        self._shelf.load_wanted()

    def _follow(self) -> None:
        while not self._stopping.is_set():
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - the thread's outermost boundary: it must go on looking
                problem = StoreError(f"Looking at the pointer failed: {error!r}.", "Look at Redis: `slate doctor`.")
                self._swap(replace(self._state, problems={Arm.PRODUCTION: problem}))
            self._look_now.wait(self._settings.poll_ms / 1000)
            self._look_now.clear()

    def _last_known(self) -> LiveState:
        """The state now; before anything is served, with the pointer kept on disk."""
        if self._state.lineup is not None:
            return self._state
        remembered = self._last.read()
        if remembered is None:
            return replace(self._state, targets=NOTHING_NAMED)
        return replace(self._state, targets=ServingTargets(remembered.pointer), earlier=remembered.earlier)

    def _swap(self, state: LiveState) -> None:
        before, self._state = self._state, state
        for arm, problem in state.problems.items():
            if str(problem) != str(before.problems.get(arm)):
                LOG.warning("%s: %s: %s", arm, type(problem).__name__, problem)
        if not state.same_metrics(before):
            self._metrics.lined_up(state.lineup, state.problems)
        if state.lineup is not None and state.moved_since(before):
            self._remember(state.lineup, state.earlier)

    def _remember(self, lineup: Lineup, earlier: tuple[str, ...]) -> None:
        """Production answers with another pointer than before."""
        self._metrics.switches.labels("taken_up").inc()
        self._last.keep(lineup.pointer, earlier)
        served = lineup.production
        LOG.info("Serving release %s, generation %s.", served.release_id, served.generation_id)
