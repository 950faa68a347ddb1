"""What every benchmark prints: a table for people, and one JSON line that says where and on what it was measured."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from cli.output import aligned


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print the rows under their column names, aligned."""
    print(aligned([columns, *rows]))


def print_figures(name: str, figures: Mapping[str, Any], *, data: str, seed: int | None = None) -> None:
    """Print the benchmark's last line: its figures with the commit, the data, the seed and the machine."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    machine = {"cores": os.cpu_count(), "memory_gib": round(memory_gib, 1)}
    print(json.dumps({"bench": name, **figures, "commit": commit, "data": data, "seed": seed, "machine": machine}))
