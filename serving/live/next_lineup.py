"""The next lineup: what the store says now, answered by the releases that are in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from contracts.clock import Clock
from contracts.errors import SlateworkError, StoreError
from contracts.features import FeatureReader
from feature_store.online.pointer import Pointer
from feature_store.online.serving_targets import Canary, Staged
from feature_store.readers.unreachable_reader import UnreachableStoreReader
from release.bundle.bundle import Release
from serving.live.production import Production
from serving.live.release_shelf import ReleaseShelf, not_loaded
from serving.live.store_state import StoreState
from serving.served import Arm, Lineup, Served

STARTING = StoreError("The server is starting.", "Ask again in a moment.")

Named = Pointer | Staged | Canary
Problems = Mapping[Arm, SlateworkError]


@dataclass(frozen=True)
class ArmOutcome:
    """Who answers for an arm, or why nobody does. Neither where nothing is named, or its release is being loaded."""

    served: Served | None = None
    problem: SlateworkError | None = None


@dataclass(frozen=True)
class ArmBuilder:
    """Makes what answers for an arm; an arm that names what it named before stays the same object."""

    production: Production
    shelf: ReleaseShelf
    make_clock: Callable[[Release], Clock]

    def build(self, arm: Arm, named: Named | None, store: StoreState, before: Lineup | None) -> ArmOutcome:
        """The arm with the release and generation that the store names."""
        if named is None:
            return ArmOutcome()
        try:
            served = self._served(arm, named, store, None if before is None else before.arm(arm))
        except Exception as error:  # noqa: BLE001 - one arm that cannot be read must not take the others with it
            return ArmOutcome(problem=not_loaded(named.release_id, error))
        return ArmOutcome(served, self.shelf.problem(named.release_id) if served is None else None)

    def reconnected(self, served: Served, store: StoreState) -> Served:
        """The same release and generation, read through Redis or without it, as the store's state has it."""
        if (served.online, served.missing) == (store.online, store.missing):
            return served
        reader = served.reader
        if served.online != store.online:
            reader = self._reader(served.release, served.generation_id, store)
        return replace(served, reader=reader, online=store.online, missing=store.missing)

    def _served(self, arm: Arm, named: Named, store: StoreState, before: Served | None) -> Served | None:
        """None while the release is not loaded."""
        release = self.shelf.find(named.release_id)
        if release is None:
            return None
        if before is not None and before.release is release and before.generation_id == named.generation_id:
            return self.reconnected(before, store)
        reader = self._reader(release, named.generation_id, store)
        return Served(arm, release, reader, self.make_clock(release), store.online, store.missing)

    def _reader(self, release: Release, generation_id: str, store: StoreState) -> FeatureReader:
        if store.online or store.problem is None:
            return self.production.reader(release, generation_id)
        return UnreachableStoreReader(generation_id, store.problem.problem, store.problem.next_step)


def next_lineup(arms: ArmBuilder, store: StoreState, before: Lineup | None) -> tuple[Lineup | None, Problems]:
    """Whoever can answer, and what keeps an arm from being what the store names.

    Production goes on with what it had where it cannot follow; the other arms are there or not.
    """
    production = arms.build(Arm.PRODUCTION, store.targets.pointer, store, before)
    pointer, served = store.targets.pointer, production.served
    if served is None and before is not None:
        pointer, served = before.pointer, arms.reconnected(before.production, store)
    if pointer is None or served is None:
        return None, _problems(store, {Arm.PRODUCTION: production}) or {Arm.PRODUCTION: STARTING}
    canary = arms.build(Arm.CANARY, store.targets.canary, store, before)
    staged = arms.build(Arm.STAGING, store.targets.staged, store, before)
    share = None if canary.served is None else store.targets.canary
    lineup = Lineup(pointer, served, canary.served, share, staged.served)
    return lineup, _problems(store, {Arm.PRODUCTION: production, Arm.CANARY: canary, Arm.STAGING: staged})


def _problems(store: StoreState, outcomes: Mapping[Arm, ArmOutcome]) -> Problems:
    of_store = {} if store.problem is None else {Arm.PRODUCTION: store.problem}
    return {**of_store, **{arm: outcome.problem for arm, outcome in outcomes.items() if outcome.problem is not None}}
