"""The result of an earlier validation, which today's volumes and columns are held against."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from contracts.errors import SettingsError
from contracts.profiles import TableProfile, read_profiles
from contracts.tables import SCHEMAS


@dataclass(frozen=True)
class Baseline:
    """rows: table -> rows that came in then; a table that is missing, or had none, sets no bounds.

    profiles: what its columns looked like, by table; none in a result made before there were profiles.
    """

    rows: Mapping[str, int] = field(default_factory=dict)
    profiles: Mapping[str, TableProfile] = field(default_factory=dict)


def read_baseline(path: str) -> Baseline:
    """The baseline that `validate.baseline` names: a result of the validate stage, or no tables at all.

    Raises SettingsError when the file is missing or no such result.
    """
    try:
        result = json.loads(Path(path).read_bytes())
        tables = result["tables"]
        rows = {name: int(tables[name]["rows"]) for name in SCHEMAS if name in tables}
        return Baseline(rows, read_profiles(result))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"`validate.baseline` names {path}, which is no result of an earlier validation: {error!r}.",
            'Make it anew from the last validation: `slate baseline accept`; `{"tables": {}}` in it holds nothing.',
        ) from error
