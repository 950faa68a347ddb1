"""A parameter file as plain values, before they are checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from contracts.errors import SettingsError


def read_params(path: Path) -> dict[str, Any]:
    """The raw mapping in a parameter file; raises SettingsError when it is missing or no YAML mapping.

    So it does of YAML that DVC refuses: it would fail in `dvc repro` only.
    """
    try:
        return params_in(path.read_bytes(), path)
    except FileNotFoundError as error:
        raise SettingsError(
            f"{path.absolute()} is missing.", "Run from the checkout's top folder, or `git checkout params.yaml`."
        ) from error


def params_in(content: bytes, path: Path) -> dict[str, Any]:
    """The same of these bytes, whether they are in the file yet or not; path: for messages."""
    try:
        values = YAML(typ="safe", pure=True).load(content.decode())
    except (YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is no valid YAML: {error}", "Mend the line named above.") from error
    try:
        YAML(typ="safe").load(content.decode())  # as DVC reads it: by libyaml, which takes less
    except YAMLError as error:
        raise SettingsError(
            f"{path} cannot be read by DVC: {error}",
            'Put what the line named above holds in quotes, such as `["package.module:Class"]`.',
        ) from error
    if not isinstance(values, dict):
        raise SettingsError(
            f"{path} holds {type(values).__name__}; expected a mapping of parameter groups.",
            "Compare it with `git show HEAD:params.yaml`.",
        )
    return values
