"""Overrides of params.yaml: dotted keys and values, set in the text so that comments and order stay."""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import get_close_matches
from io import BytesIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.representer import RoundTripRepresenter

from contracts.errors import SettingsError
from contracts.settings.loading import checked_whole, parameter_names
from contracts.settings.params_file import params_in, read_params
from contracts.settings.params_path import PARAMS
from contracts.settings.placements_file import WITHIN
from contracts.settings.settings import Settings
from contracts.whole_files import write_whole


def write_overrides(path: Path, overrides: Mapping[str, Any]) -> None:
    """Set each dotted key (`ranking.n_trees`) of a parameter file to its value, comments kept, the whole checked.

    Raises SettingsError, with the file left as it was, for a key that does not exist or a value out of its range.
    """
    read_params(path)  # says in one sentence what is wrong with a file that cannot be read
    before = path.read_bytes()
    after = overridden(before, overrides, path)
    if after != before:
        write_whole(path, after)


def check_overrides(params: bytes, overrides: Mapping[str, Any]) -> None:
    """Raise SettingsError where `write_overrides` would refuse them in a file of these bytes; nothing is written.

    The message names parameters as a form takes them, and ends with what to trigger again.
    """
    _check(params, PARAMS)  # what is wrong without the overrides is not their fault
    try:
        overridden(params, overrides, PARAMS)
    except SettingsError as error:
        told = error.problem.replace(f"{PARAMS}: ", "")
        raise SettingsError(f"The overrides of this run are wrong: {told}", _mended(overrides)) from error


def overridden_settings(params: bytes, overrides: Mapping[str, Any]) -> Settings:
    """The settings that a parameter file of these bytes gives with the overrides; nothing is written.

    Raises SettingsError for a key that does not exist or a value out of its range.
    """
    return checked_whole(Settings, params_in(overridden(params, overrides, PARAMS), PARAMS), PARAMS)


def overridden(params: bytes, overrides: Mapping[str, Any], path: Path = PARAMS) -> bytes:
    """The parameter file with its overrides, comments kept, checked as a whole; path: for messages."""
    after = BytesIO()
    if overrides:
        yaml = _yaml()
        content = yaml.load(params)
        for key, value in overrides.items():
            _set(content, key, value)
        yaml.dump(content, after)
    _check(after.getvalue() or params, path)
    return after.getvalue() or params


def _check(params: bytes, path: Path) -> None:
    checked_whole(Settings, params_in(params, path), path)


def _mended(overrides: Mapping[str, Any]) -> str:
    """What to type next: the overrides with each misspelt name replaced by the nearest one there is."""
    known = parameter_names(Settings)
    nearest = {key: get_close_matches(key, known, n=1) for key in overrides if key not in known}
    if not nearest or not all(nearest.values()):
        return "Trigger again with overrides mended; params.yaml has every name, and contracts/settings the ranges."
    mended = {nearest[key][0] if key in nearest else key: value for key, value in overrides.items()}
    return f"Trigger again with {json.dumps(mended)}."


class _Representer(RoundTripRepresenter):
    """Writes what was read; a null stays the word."""


_Representer.add_representer(
    type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
)


def _yaml() -> YAML:
    yaml = YAML()
    yaml.Representer = _Representer
    yaml.preserve_quotes = True
    yaml.width = 4096  # a long line stays one line
    return yaml


def _set(params: Any, key: str, value: Any) -> None:
    *groups, name = key.split(".")
    # What is laid over placements.yaml may name what stands there alone.
    holder, is_known = params, key in parameter_names(Settings) or key.startswith(f"{'.'.join(WITHIN)}.")
    for group in groups:
        if is_known and isinstance(holder, dict):
            holder.setdefault(group, {})  # a group that the file leaves to its defaults
        holder = holder.get(group) if isinstance(holder, dict) else None
    if not isinstance(holder, dict):
        raise SettingsError(
            f"The override `{key}` names a group that params.yaml does not have.",
            "Write it as in params.yaml with dots between, such as `ranking.n_trees`.",
        )
    holder[name] = value
