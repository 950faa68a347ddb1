"""JSON files that people read and programs trust: whole, or not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from contracts.whole_files import write_whole


def write_json(value: Any, path: Path, *, shared: bool = False) -> None:
    """Write it indented, keys in order; a killed writer leaves what was there before. shared: as of `whole_file`."""
    write_whole(path, json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n", shared=shared)
