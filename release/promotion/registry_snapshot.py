"""The registry as one round of decisions finds it, beside what it said when the last round ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from release.journal.entries import Entry
from release.journal.view import JournalView
from release.registry.registry import Version, state_of
from release.registry.requests import RegistryRequests, read_requests
from release.registry.state import RegistryState, Stage


@dataclass(frozen=True)
class RegistrySnapshot:
    """The versions there are. before: the registry as we last saw or wrote it; now: as it is."""

    versions: Mapping[int, Version]
    before: RegistryState
    now: RegistryState

    @classmethod
    def of(cls, versions: Sequence[Version], view: JournalView) -> RegistrySnapshot:
        """On first contact everything in the registry is new, unless something is in production already."""
        now = state_of(versions)
        first_contact = now if view.production else RegistryState()
        return cls({version.number: version for version in versions}, view.registry_state or first_contact, now)

    @property
    def staging(self) -> int | None:
        """The version that really is in Staging."""
        return self.before.in_stage(Stage.STAGING)

    def version_of(self, production: Entry | None) -> int | None:
        """The version whose release the entry put in production; None without one, or when its version was deleted."""
        if production is None:
            return None
        numbers = [number for number, one in self.versions.items() if one.release_id == production.release_id]
        return production.version if production.version in numbers else max(numbers, default=None)

    def requests(self, production: Entry | None) -> RegistryRequests:
        """What was asked for since; production: the entry that put there what is served."""
        deleted = production.version if production else None
        return read_requests(self.before, self.now, self.version_of(production) or deleted, self.staging)

    def with_new_version(self, number: int) -> RegistrySnapshot:
        """The same registry after a version was added to it."""
        return replace(self, now=RegistryState({**self.now.stages, number: Stage.NONE}, self.now.aliases))
