"""The volumes of an earlier validation, which today's are held against."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from contracts.errors import SettingsError
from contracts.tables import SCHEMAS


@dataclass(frozen=True)
class Baseline:
    """rows: table -> rows that came in then; a table that is missing, or had none, sets no bounds."""

    rows: Mapping[str, int] = field(default_factory=dict)


def read_baseline(path: str | None) -> Baseline:
    """The baseline that `validate.baseline` names (a result of the validate stage); an empty one where it names none.

    Raises SettingsError when the file is missing or no such result.
    """
    if path is None:
        return Baseline()
    try:
        tables = json.loads(Path(path).read_bytes())["tables"]
        return Baseline({name: int(tables[name]["rows"]) for name in SCHEMAS if name in tables})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"`validate.baseline` names {path}, which is no result of an earlier validation: {error!r}.",
            "Set it to a copy of reports/validation.json from a run you trust, or to null.",
        ) from error
