"""What the gates are asked about, each part of it read once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from contracts.errors import ReleaseMismatch
from contracts.features import FeatureReader
from release.bundle.bundle import Release
from release.bundle.open_bundle import OpenBundle
from release.golden.golden_queries import GoldenQueries
from release.registry.registry import GENERATION_TAG, Version
from release.registry.state import Stage


@dataclass(frozen=True)
class ReleaseCandidate:
    """What is to be decided on: a version, its bundle, and for which stage.

    reader: publishes a release's values, if they are not in the store yet, and reads them as serving would.
    champion: the bundle of the release in production; None when there is none.
    allow_dirty: uncommitted source is no reason against it; accepted: by gate, why one that fails may pass.
    parity: where the results of `slate parity` are kept; None where they are not.
    """

    version: Version
    bundle: OpenBundle
    stage: Stage
    reader: Callable[[Release], FeatureReader]
    champion: OpenBundle | None = None
    allow_dirty: bool = False
    accepted: Mapping[str, str] = field(default_factory=dict)
    parity: Path | None = None

    @cached_property
    def release(self) -> Release:
        """The bundle's release; raises ArtefactError, or ReleaseMismatch where the version is of another one."""
        release = self.bundle.release
        if release.release_id != self.version.release_id:
            raise ReleaseMismatch(
                f"The bundle {self.bundle.folder} is release {release.release_id}; version {self.version.number} says "
                f"{self.version.release_id}.",
                "Register the release again: `slate register`.",
            )
        if release.generation_id != self.version.generation_id:
            raise ReleaseMismatch(
                f"The bundle {self.bundle.folder} holds generation {release.generation_id}; version "
                f"{self.version.number} says {self.version.generation_id}.",
                f"Mend the tag `{GENERATION_TAG}` of the version in MLflow.",
            )
        return release

    @cached_property
    def golden(self) -> GoldenQueries:
        """The release's golden queries, for their answers and for how long these take."""
        return GoldenQueries.load(self.release)
