"""A production that keeps the contract of `serving.live.production.Production` in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from contracts.errors import ArtefactError, SlateworkError, StoreError, StoreUnavailable
from feature_store.online.pointer import Pointer
from feature_store.online.recent_events import RecentEvent
from feature_store.online.serving_targets import Canary, ServingTargets, Staged

AS_OF = datetime(2020, 4, 10, tzinfo=UTC)


def bare_release(release_id: str) -> Any:
    """As much of a release as following the pointer needs."""
    return SimpleNamespace(release_id=release_id, as_of=AS_OF, index=SimpleNamespace(recall=1.0, recall_among={}))


@dataclass
class FakeProduction:
    """Redis is away while `away`; `loaded` counts what it cost; `damaged`: what Staging says is no JSON."""

    now: Pointer | None = None
    staged: Staged | None = None
    canary: Canary | None = None
    away: bool = False
    damaged: bool = False
    releases: dict[str, Any] = field(default_factory=dict)
    loaded: list[str] = field(default_factory=list)
    lacking: dict[str, SlateworkError] = field(default_factory=dict)
    events: list[RecentEvent] = field(default_factory=list)

    def targets(self) -> ServingTargets:
        self._reach()
        if self.damaged:
            raise StoreError("What stands in Staging is no JSON.", "Remove it.")
        return ServingTargets(self.now, self.staged, self.canary)

    def pointer(self) -> Pointer | None:
        self._reach()
        return self.now

    def load(self, release_id: str) -> Any:
        self.loaded.append(release_id)
        release = self.releases.get(release_id)
        if isinstance(release, Exception):
            raise release
        if release is None:
            raise ArtefactError(f"release {release_id!r} is not held.", "Bring it back.")
        return release

    def reader(self, release: Any, generation_id: str) -> Any:
        self._reach()
        return SimpleNamespace(generation_id=generation_id, release_id=release.release_id)

    def lacks(self, release_id: str, generation_id: str, pause: Callable[[], object]) -> SlateworkError | None:
        self._reach()
        return self.lacking.get(generation_id)

    def append_events(self, events: Sequence[RecentEvent]) -> None:
        self._reach()
        self.events.extend(events)

    def _reach(self) -> None:
        if self.away:
            raise StoreUnavailable("Redis cannot be reached.", "Start it.")
