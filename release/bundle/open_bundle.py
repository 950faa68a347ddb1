"""A bundle of which every part is read once, when it is first asked for: what a decision hands from gate to gate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from contracts.json_file import load_json
from release.bundle.bundle import VALIDATION, Release, load_bundle, load_measured, measured_from
from release.bundle.manifest import REBUILD, Manifest, load_manifest
from release.bundle.parts import check_contents


@dataclass(frozen=True)
class OpenBundle:
    """The parts of the bundle in a folder. Each raises what its loader raises, again at every try.

    bundle = OpenBundle(home.bundles / "r-0123456789ab")
    bundle.manifest                  # reads manifest.json alone
    bundle.release                   # what is served
    bundle.load_measured()           # what was measured; every byte is compared once for both
    """

    folder: Path

    @cached_property
    def manifest(self) -> Manifest:
        """What it is made of, as manifest.json says; the files were not looked at."""
        return load_manifest(self.folder)

    @cached_property
    def checked_manifest(self) -> Manifest:
        """The same, after every byte of the bundle was compared with it."""
        check_contents(self.folder, self.manifest)
        return self.manifest

    @cached_property
    def release(self) -> Release:
        """What is served."""
        return load_bundle(self.folder, self.checked_manifest)

    def load_measured(self) -> Release:
        """The same release as it was measured, fitted before the test window: as large again, and so not kept."""
        return load_measured(self.folder, self.checked_manifest)

    @cached_property
    def test_start(self) -> datetime:
        """Where the test window starts."""
        return measured_from(self.folder)

    @cached_property
    def validation(self) -> dict[str, Any]:
        """How clean its data was: validation.json."""
        return load_json(self.folder / VALIDATION, REBUILD)
