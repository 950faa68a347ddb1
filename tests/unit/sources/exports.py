"""A tiny export in every way it may be written; all of them tell the same story."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from contracts.settings.files import Files

COLUMNS = ("who", "what", "did", "at", "paid")
ROWS = (
    ("007", "A-1", "seen", 1_700_000_000, None),
    ("7", "A-1", "bought", 1_700_000_060, 12.5),
    ("007", "B-2", "seen", 1_700_000_060, None),
    ("Zoë", "A-1", "bought", 1_700_086_400, 3.0),
)
MAPPING: dict[str, Any] = {
    "time_unit": "s",
    "columns": {"user_id": "who", "item_id": "what", "event_type": "did", "event_ts": "at", "value": "paid"},
    "event_types": {"seen": "view", "bought": "purchase"},
}


def files(**changes: Any) -> Files:
    """The mapping of the tiny export, with changes to its interactions; other tables by name."""
    tables = {name: changes.pop(name) for name in ("items", "users", "impressions") if name in changes}
    return Files.model_validate({"interactions": {**MAPPING, **changes}, **tables})


def as_csv(rows: Any = ROWS, separator: str = ",", header: bool = True) -> str:
    lines = [separator.join(COLUMNS)] if header else []
    lines += [separator.join("" if cell is None else str(cell) for cell in row) for row in rows]
    return "\n".join([*lines, ""])


def as_jsonl(rows: Any = ROWS) -> str:
    return "".join(json.dumps(dict(zip(COLUMNS, row, strict=True))) + "\n" for row in rows)


def as_parquet(path: Path, rows: Any = ROWS) -> None:
    pl.DataFrame(list(rows), schema=list(COLUMNS), orient="row").write_parquet(path)


def write(folder: Path, contents: Mapping[str, str | bytes]) -> Path:
    """Write files by name, compressed as the name says, and return the folder."""
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = content if isinstance(content, bytes) else content.encode()
        path.write_bytes(_compressed(name, raw))
    return folder


def _compressed(name: str, content: bytes) -> bytes:
    if name.endswith(".gz"):
        return gzip.compress(content)
    return bytes(pa.compress(content, codec="zstd", asbytes=True)) if name.endswith(".zst") else content
