"""JSON files that people read and programs trust: whole, or not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write_json(value: Any, path: Path) -> None:
    """Write it indented, keys in order; a killed writer leaves what was there before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    unfinished.replace(path)
