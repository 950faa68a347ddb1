"""JSON files that people read and programs trust: whole, or not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from contracts.errors import ArtefactError
from contracts.whole_files import write_whole


def write_json(value: Any, path: Path, *, shared: bool = False, sort_keys: bool = True, allow_nan: bool = True) -> None:
    """Write it indented; a killed writer leaves what was there before. shared: as of `whole_file`.

    sort_keys: off where the order is one that people read by. allow_nan: off where a number that is none is a fault:
    ValueError then, and nothing is written.
    """
    text = json.dumps(value, indent=1, sort_keys=sort_keys, ensure_ascii=False, allow_nan=allow_nan)
    write_whole(path, text.encode() + b"\n", shared=shared)


def load_json(path: Path, next_step: str, missing: str = "") -> dict[str, Any]:
    """The JSON object in a file; raises ArtefactError with this next step when it is missing, damaged or none.

    missing: what to say where it is missing, a sentence.
    """
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ArtefactError(missing or f"{path} is missing.", next_step) from error
    # Hostile bytes can nest deeper than Python reads.
    except (ValueError, RecursionError) as error:
        raise ArtefactError(f"{path} is damaged: {error}", next_step) from error
    if not isinstance(content, dict):
        raise ArtefactError(f"{path} is damaged: it holds no JSON object.", next_step)
    return content
