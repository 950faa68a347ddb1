"""The parameters that a rollback needs, without what reads and checks all of params.yaml: importing that takes longer
than the rest of a rollback, and a slip in another parameter must not stop one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from contracts.settings.params_path import PARAMS

if TYPE_CHECKING:
    from contracts.settings.publish import PublishSettings

_APP_LINE = re.compile(r"^app[ \t]*:(.*)$", re.MULTILINE)
_PLAIN_NAME = re.compile(r"[ \t]+([a-z][a-z0-9_-]{0,31})([ \t]+#.*|[ \t]*)")  # in YAML, `shop#2` is one word
_CONTINUED = re.compile(r"\s*\n[ \t]+[^\s#]")  # an indented line goes on with the value
_NO_TEXT = {"true", "false", "null"}  # in YAML, unless quoted


@dataclass(frozen=True)
class RollbackParams:
    """What a rollback reads of `contracts.settings.settings.Settings`, under the same names.

    publish is read from the file when it is asked for: where values must be published again.
    """

    app: str
    path: Path = PARAMS

    @cached_property
    def publish(self) -> PublishSettings:
        """The group `publish`; raises SettingsError where it is missing or wrong."""
        from contracts.settings.rollback import load_publish  # noqa: PLC0415 - what reads and checks parameters

        return load_publish(self.path)


def load_rollback_params(path: Path = PARAMS) -> RollbackParams:
    """The application's name in a file; raises SettingsError where that is wrong, and does not look at `publish`."""
    app = _plain_app(path)
    if app is None:
        from contracts.settings.rollback import load_app  # noqa: PLC0415 - as above

        app = load_app(path)
    return RollbackParams(app, path)


def _plain_app(path: Path) -> str | None:
    """The application's name where one line says it in plain letters; None where only a reader of YAML can tell."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    lines = list(_APP_LINE.finditer(text))
    if len(lines) != 1 or _CONTINUED.match(text, lines[0].end()):
        return None
    name = _PLAIN_NAME.fullmatch(lines[0][1])
    return name[1] if name and name[1] not in _NO_TEXT else None
