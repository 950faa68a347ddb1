"""Placements for tests: written as in placements.yaml, compiled as a release is built."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from contracts.settings.request import RequestSettings
from pipelines.placements import compiled_placements
from release.bundle.bundle import Release


def with_placements(release: Release, placements: dict[str, Any]) -> Release:
    """The release with these placements."""
    request = RequestSettings.model_validate({**release.request.model_dump(), "placements": placements})
    fitted: Any = SimpleNamespace(catalogue=release.catalogue, by_name=release.generators)
    return replace(release, request=compiled_placements(request, fitted))
