"""A row of a table as one line for people."""

from __future__ import annotations

import json
from collections.abc import Mapping

from contracts.printable import printable_line

MAX_SHOWN = 200  # characters of a cell


def as_line(row: Mapping[str, object]) -> str:
    """A row as one line of JSON; null cells are left out, long texts are cut."""
    filled = {name: _cut(value) for name, value in row.items() if value is not None}
    return printable_line(json.dumps(filled, default=str, ensure_ascii=False))


def _cut(value: object) -> object:
    return value if not isinstance(value, str) or len(value) <= MAX_SHOWN else f"{value[:MAX_SHOWN]}..."
