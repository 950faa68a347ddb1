"""Which version stands where in the registry: what was seen, what was asked for by changing it, what it should say.

Only tables of versions, stages and aliases: nothing here talks to a registry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Stage(StrEnum):
    """The four stages a version can stand in; the registry knows no others."""

    NONE = "None"
    STAGING = "Staging"
    PRODUCTION = "Production"
    ARCHIVED = "Archived"


# The alias that says the same as a stage. Aliases tell capitals apart, so `Production` is another one, and a wrong one.
ALIASES = {Stage.PRODUCTION: "production", Stage.STAGING: "staging"}


@dataclass(frozen=True)
class RegistryState:
    """The stage of every version, and the version behind every alias that spells production or staging."""

    stages: Mapping[int, Stage] = field(default_factory=dict)
    aliases: Mapping[str, int] = field(default_factory=dict)

    def stage_of(self, version: int) -> Stage:
        """The version's stage; None for a version that is not there, as for one that is new."""
        return self.stages.get(version, Stage.NONE)

    def holds(self, stage: Stage, version: int | None) -> bool:
        """Whether stage and alias both say that this version stands in this stage."""
        return version is not None and self.stage_of(version) is stage and self.aliases.get(ALIASES[stage]) == version

    def in_stage(self, stage: Stage) -> int | None:
        """The highest version of a stage, which is what the registry itself resolves the stage to."""
        return max((version for version, its in self.stages.items() if its is stage), default=None)

    def misspelt_aliases(self) -> dict[str, int]:
        """Aliases such as `Production` that look like ours and are others."""
        return {alias: version for alias, version in self.aliases.items() if alias not in ALIASES.values()}

    def to_json(self) -> dict[str, Any]:
        return {
            "stages": {str(version): str(stage) for version, stage in sorted(self.stages.items())},
            "aliases": dict(sorted(self.aliases.items())),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RegistryState:
        stages = {int(version): Stage(stage) for version, stage in value["stages"].items()}
        return cls(stages, dict(value["aliases"]))


def versions_moved_into(stage: Stage, before: RegistryState, now: RegistryState) -> set[int]:
    """The versions that somebody moved into a stage, by its name or by its alias, since `before`."""
    moved = {version for version, its in now.stages.items() if its is stage and before.stage_of(version) is not stage}
    alias = ALIASES[stage]
    named = now.aliases.get(alias)
    if named is not None and named != before.aliases.get(alias):
        moved.add(named)
    return moved


def was_taken_from(stage: Stage, version: int, before: RegistryState, now: RegistryState) -> bool:
    """Whether somebody moved a version out of a stage, took its alias away, or deleted it, since `before`."""
    left = before.stage_of(version) is stage and now.stage_of(version) is not stage
    alias = ALIASES[stage]
    return left or (before.aliases.get(alias) == version and now.aliases.get(alias) != version)


def decided_state(
    before: RegistryState, now: RegistryState, production: int | None, staging: int | None
) -> RegistryState:
    """What the registry should say once requests are decided: one version per stage, its alias on the same version.

    A version that is pushed out of Production or Staging is archived; one whose request was refused goes back to where
    it stood `before`. What people did beside that (archived another version, say) stays.
    """
    stage_of_version = (
        {production: Stage.PRODUCTION}
        if production == staging
        else {
            staging: Stage.STAGING,
            production: Stage.PRODUCTION,
        }
    )
    stages = {version: stage_of_version.get(version) or _elsewhere(version, before, now) for version in now.stages}
    aliases = {ALIASES[stage]: version for version, stage in stage_of_version.items() if version in stages}
    return RegistryState(stages, {alias: version for alias, version in aliases.items() if version is not None})


def _elsewhere(version: int, before: RegistryState, now: RegistryState) -> Stage:
    stage, earlier = now.stage_of(version), before.stage_of(version)
    if stage not in ALIASES:
        return stage
    return Stage.ARCHIVED if earlier in ALIASES else earlier


@dataclass(frozen=True)
class RegistryUpdate:
    """What has to be written so that one state becomes another; an alias set to None is taken away."""

    stages: dict[int, Stage]
    aliases: dict[str, int | None]

    @classmethod
    def between(cls, before: RegistryState, after: RegistryState) -> RegistryUpdate:
        stages = {version: stage for version, stage in after.stages.items() if before.stage_of(version) is not stage}
        names = sorted(before.aliases.keys() | after.aliases.keys())
        aliases = {
            name: after.aliases.get(name) for name in names if before.aliases.get(name) != after.aliases.get(name)
        }
        return cls(stages, aliases)

    def where_unchanged(self, before: RegistryState, now: RegistryState) -> RegistryUpdate:
        """What is left of it where nobody moved the same version or alias since `before`, nor deleted the version.

        Whoever did so asks for something, and must find it as they left it until that is decided.
        """
        stages = {
            version: stage
            for version, stage in self.stages.items()
            if version in now.stages and now.stage_of(version) is before.stage_of(version)
        }
        aliases = {
            name: target for name, target in self.aliases.items() if now.aliases.get(name) == before.aliases.get(name)
        }
        return RegistryUpdate(stages, aliases)

    def __bool__(self) -> bool:
        return bool(self.stages or self.aliases)
