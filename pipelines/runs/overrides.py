"""Overrides of params.yaml: dotted keys and values, written in place so that comments and order stay."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.representer import RoundTripRepresenter

from contracts.errors import SettingsError
from contracts.settings.params_file import read_params
from contracts.settings.settings import load_settings


def write_overrides(path: Path, overrides: Mapping[str, Any]) -> None:
    """Set each dotted key (`ranking.n_trees`) of a parameter file to its value, comments kept, the whole checked.

    Raises SettingsError, with the file left as it was, for a key that does not exist or a value out of its range.
    """
    read_params(path)  # says in one sentence what is wrong with a file that cannot be read
    before = path.read_bytes()
    yaml = _yaml()
    params = yaml.load(before)
    for key, value in overrides.items():
        _set(params, key, value)
    after = BytesIO()
    yaml.dump(params, after)
    path.write_bytes(after.getvalue() if overrides else before)
    try:
        load_settings(path)
    except SettingsError:
        path.write_bytes(before)
        raise


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
    holder = params
    for group in groups:
        holder = holder.get(group) if isinstance(holder, dict) else None
    if not isinstance(holder, dict):
        raise SettingsError(
            f"The override `{key}` names a group that params.yaml does not have.",
            "Write it as in params.yaml with dots between, such as `ranking.n_trees`.",
        )
    holder[name] = value
