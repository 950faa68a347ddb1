"""The registry as one round of decisions finds it, beside what it said when the last round ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from release.journal.entries import Entry
from release.journal.view import JournalView
from release.registry.registry import COPY_TAG, Version, state_of
from release.registry.requests import RegistryRequests, read_requests
from release.registry.state import ALIASES, RegistryState, Stage


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
        numbers = {
            self.original(number) for number, one in self.versions.items() if one.release_id == production.release_id
        }
        return production.version if production.version in numbers else max(numbers, default=None)

    def requests(self, production: Entry | None) -> RegistryRequests:
        """What was asked for since; production: the entry that put there what is served."""
        deleted = production.version if production else None
        before, now = (self._without_copies(state) for state in (self.before, self.now))
        return read_requests(before, now, self.version_of(production) or deleted, self.staging)

    def original(self, number: int) -> int:
        """The version that is meant by one: itself, or what it was copied from, as long as that is there."""
        seen = {number}
        while (copied := self.versions[number].copy_of if number in self.versions else None) in self.versions:
            if copied is None or copied in seen:
                break
            seen.add(copied)
            number = copied
        return number

    def copies_to_explain(self) -> dict[int, int]:
        """Copies that do not say yet that they are, and those that something is asked of, with their originals."""
        asked = {version for version, stage in self.now.stages.items() if stage in ALIASES} | set(
            self.now.aliases.values()
        )
        originals = {number: self.original(number) for number in self.versions}
        return {
            number: original
            for number, original in originals.items()
            if number != original and (number in asked or COPY_TAG not in self.versions[number].tags)
        }

    def _without_copies(self, state: RegistryState) -> RegistryState:
        """The state in which what was done to a copy was done to its original."""
        stages = {number: stage for number, stage in state.stages.items() if self.original(number) == number}
        for number, stage in state.stages.items():
            original = self.original(number)
            if stage in ALIASES and original != number and stages.get(original) is not Stage.PRODUCTION:
                stages[original] = stage
        aliases = {alias: self.original(number) for alias, number in state.aliases.items()}
        return RegistryState(stages, aliases)

    def with_new_version(self, number: int) -> RegistrySnapshot:
        """The same registry after a version was added to it."""
        return replace(self, now=RegistryState({**self.now.stages, number: Stage.NONE}, self.now.aliases))
