"""Applications: `presets/<app>.yaml` says what an application has otherwise than params.yaml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from contracts.errors import SettingsError
from contracts.settings.params_file import read_params
from contracts.settings.params_path import PARAMS

FOLDER = Path("presets")


def preset_names(checkout: Path) -> list[str]:
    """The applications that a checkout has presets for."""
    return sorted(path.stem for path in (checkout / FOLDER).glob("*.yaml"))


def load_preset(checkout: Path, app: str) -> dict[str, Any]:
    """What an application sets, by dotted key, for the params.yaml of the same checkout.

    A group that params.yaml does not have as a mapping is one value. Raises SettingsError for an application without a
    preset, or a preset of another name.
    """
    if app not in preset_names(checkout):
        raise SettingsError(
            f"There is no application {app!r}: {checkout / FOLDER} has {', '.join(preset_names(checkout)) or 'none'}.",
            f"Name one of them, or write {FOLDER / app}.yaml.",
        )
    path = checkout / FOLDER / f"{app}.yaml"
    preset = read_params(path)
    if preset.get("app") != app:
        raise SettingsError(f"{path} says app: {preset.get('app')}; expected {app}.", "The file is named by its app.")
    return dict(_overrides(preset, read_params(checkout / PARAMS)))


def _overrides(preset: Mapping[str, Any], base: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in preset.items():
        below = base.get(name)
        if isinstance(value, dict) and isinstance(below, dict):
            yield from _overrides(value, below, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
