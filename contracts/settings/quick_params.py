"""The parameters that a rollback needs, without what checks all of params.yaml: importing that takes longer than the
rest of a rollback, and a slip in another parameter must not stop one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from contracts.settings.params_file import read_params

_APP = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_LARGEST_BATCH = 100_000


@dataclass(frozen=True)
class PublishParams:
    """batch_size: as in `contracts.settings.publish.PublishSettings`."""

    batch_size: int


@dataclass(frozen=True)
class RollbackParams:
    """What a rollback reads of `contracts.settings.settings.Settings`, under the same names."""

    app: str
    publish: PublishParams


def load_rollback_params(path: Path = Path("params.yaml")) -> RollbackParams:
    """The parameters in a file; raises SettingsError where they are missing or wrong."""
    values = read_params(path)
    app, publish = values.get("app"), values.get("publish")
    size = publish.get("batch_size") if isinstance(publish, dict) else None
    if isinstance(app, str) and _APP.fullmatch(app) and isinstance(size, int) and 1 <= size <= _LARGEST_BATCH:
        return RollbackParams(app, PublishParams(size))
    return _checked(path)


def _checked(path: Path) -> RollbackParams:
    from contracts.settings.settings import load_settings  # noqa: PLC0415 - says what is wrong, in its own words

    settings = load_settings(path)
    return RollbackParams(settings.app, PublishParams(settings.publish.batch_size))
