"""How a command answers: JSON for programs, words or a table for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any

import typer

from contracts.printable import printable, printable_json, printable_line

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def print_json(value: Any, *, indented: bool = False) -> None:
    """Print JSON: one line with sorted keys, for programs; indented: in the order given, for people who read along.

    A moment becomes its text. Raises TypeError for anything else that JSON has no form for.
    """
    if indented:
        print(printable_json(json.dumps(value, indent=1, ensure_ascii=False, default=_moment_text)), flush=True)
    else:
        print(json.dumps(value, sort_keys=True, default=_moment_text), flush=True)


def print_result(value: Any, as_json: bool, text: str) -> None:
    """Print the value as one line of JSON, or the text."""
    if as_json:
        print_json(value)
    else:
        print(printable(text), flush=True)


def _moment_text(value: object) -> str:
    if isinstance(value, date):  # a datetime is one, too
        return str(value)
    raise TypeError(f"{value!r} has no form in JSON")


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """These columns of the rows under their names; empty without rows, and None is an empty cell."""
    if not rows:
        return ""
    return aligned([columns, *(["" if row[name] is None else row[name] for name in columns] for row in rows)])


def aligned(lines: Sequence[Sequence[object]], n_left: int | None = None, indent: str = "") -> str:
    """Lines of as many cells each, in columns that are two spaces apart.

    n_left: the columns from this one on end at the same place, as numbers do; None: all of them start there.
    """
    cells = [[printable_line(str(cell)) for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join((indent + "  ".join(_padded(line, widths, n_left))).rstrip() for line in cells)


def _padded(line: Sequence[str], widths: Sequence[int], n_left: int | None) -> list[str]:
    first_right = len(line) if n_left is None else n_left
    return [
        cell.ljust(width) if at < first_right else cell.rjust(width)
        for at, (cell, width) in enumerate(zip(line, widths, strict=True))
    ]
