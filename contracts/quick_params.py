"""The parameters that a rollback needs, without what reads and checks all of params.yaml: importing that takes as long
as everything else a rollback does, and a slip in another parameter must not stop one.

Only plain lines are understood; a file in which they are written in another way is read by `load_settings`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_APP = re.compile(r"^app: +([a-z][a-z0-9_-]{0,31})[ \t]*(?:#.*)?$", re.MULTILINE)
_PUBLISH = re.compile(r"^publish:[ \t]*\n((?:[ \t]+.*\n|[ \t]*\n)+)", re.MULTILINE)
_BATCH_SIZE = re.compile(r"^  batch_size: +([1-9][0-9]{0,5})[ \t]*(?:#.*)?$", re.MULTILINE)
_NOT_TEXT_IN_YAML = frozenset({"true", "false", "null", "yes", "no", "on", "off"})


@dataclass(frozen=True)
class PublishParams:
    """batch_size: as in `contracts.settings.PublishSettings`."""

    batch_size: int


@dataclass(frozen=True)
class RollbackParams:
    """What a rollback reads of `contracts.settings.Settings`, under the same names."""

    app: str
    publish: PublishParams


def load_rollback_params(path: Path = Path("params.yaml")) -> RollbackParams:
    """The parameters in a file; raises SettingsError where they are missing or wrong."""
    try:
        found = _plain(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        found = None
    return _checked(path) if found is None else found


def _plain(text: str) -> RollbackParams | None:
    apps, groups = _APP.findall(text), _PUBLISH.findall(text + "\n")
    sizes = _BATCH_SIZE.findall(groups[0]) if len(groups) == 1 else []
    if len(apps) != 1 or len(sizes) != 1 or apps[0] in _NOT_TEXT_IN_YAML or not 1 <= int(sizes[0]) <= 100_000:
        return None
    return RollbackParams(apps[0], PublishParams(int(sizes[0])))


def _checked(path: Path) -> RollbackParams:
    from contracts.settings import load_settings  # noqa: PLC0415 - what this module is there to avoid

    settings = load_settings(path)
    return RollbackParams(settings.app, PublishParams(settings.publish.batch_size))
