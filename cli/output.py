"""How a command answers: JSON for programs, words or a table for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def print_result(value: Any, as_json: bool, text: str) -> None:
    """Print the value as one line of JSON, or the text."""
    print(json.dumps(value, sort_keys=True) if as_json else text, flush=True)


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """These columns of the rows under their names; empty without rows."""
    if not rows:
        return ""
    cells = [list(columns)] + [["" if row[name] is None else str(row[name]) for name in columns] for row in rows]
    widths = [max(len(line[position]) for line in cells) for position in range(len(columns))]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )
