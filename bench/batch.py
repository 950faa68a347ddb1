"""How many people a second does `slate batch` answer, and in how much memory?

    python -m bench.batch [--workspace FOLDER] [--k N] [--processes N] [--people N] [--heavy]

Run it in a checkout where `dvc repro` has finished, or name a workspace that `python -m bench.scale --keep FOLDER`
left. The release built there is put into production in a home and a Redis of its own. `slate batch` writes a slate for
one person first, which says what starting takes, and then for everybody, or for so many drawn by the seed; people
a second are those after the start.

Limit: 1,000 people/s at Y = 12 ms (see `bench.yardstick`), 400 with `--heavy`, a ranker of 300 trees of 63 leaves for
500 candidates; where it does not hold, it says so and exits with 1.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import chdir
from pathlib import Path

import polars as pl

from bench.report import print_figures, print_table
from bench.two_releases import SLATE, Rig, heavy_release, running_rig
from bench.yardstick import yardstick_ms
from pipelines.paths import VALID

LEAST_PEOPLE_PER_S, LEAST_HEAVY_PER_S, AT_Y_MS = 1000, 400, 12.0


def main() -> None:
    """Answer one and everybody, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, default=Path())
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--people", type=int)
    parser.add_argument("--heavy", action="store_true")
    asked = parser.parse_args()
    # What starts in the workspace is of this checkout, also where the workspace is another one.
    os.environ |= {"PYTHONPATH": str(Path.cwd()), "PYTHONSAFEPATH": "1"}
    y_ms = yardstick_ms()
    options = ["--k", str(asked.k), "--processes", str(asked.processes)]
    with chdir(asked.workspace), running_rig(0, 1) as rig:
        rig.promote(heavy_release(rig) if asked.heavy else rig.older)
        somebody = rig.home.root / "one.csv"
        somebody.write_text("user_id\nnobody-known\n")
        start_s, _, _ = _batch(rig, "one", [*options, "--people", str(somebody)])
        drawn = _drawn_people(rig, asked.people) if asked.people else []
        seconds, peak_gib, n_people = _batch(rig, "all", [*options, *drawn])
        n_items = pl.scan_parquet(VALID / "items.parquet").select(pl.len()).collect().item()
    people_per_s = round(n_people / max(seconds - start_s, 1e-3), 1)
    rows = [[f"{n_people:,}", f"{n_items:,}", f"{start_s:.1f}", f"{seconds:.1f}", people_per_s, peak_gib]]
    print_table(["people", "items", "start s", "seconds", "people/s", "peak GiB of a process"], rows)
    figures = {
        "heavy": asked.heavy,
        "people_per_s": people_per_s,
        "peak_gib": peak_gib,
        "people": n_people,
        "items": n_items,
    }
    times = {"start_s": round(start_s, 1), "seconds": round(seconds, 1), "yardstick_ms": round(y_ms, 2)}
    print_figures("batch", {**figures, **times, "k": asked.k, "processes": asked.processes}, data=str(rig.settings.app))
    least = (LEAST_HEAVY_PER_S if asked.heavy else LEAST_PEOPLE_PER_S) * AT_Y_MS / y_ms
    if people_per_s < least:
        sys.exit(f"{people_per_s} people/s; the limit at Y = {y_ms:.1f} ms is {least:.0f}.")


def _drawn_people(rig: Rig, n_people: int) -> list[str]:
    """The option that names a file of so many people."""
    user_ids = pl.scan_parquet(VALID / "interactions.parquet").select(pl.col("user_id").unique().sort()).collect()
    drawn = user_ids.sample(min(n_people, len(user_ids)), seed=rig.settings.seed)
    drawn.write_csv(rig.home.root / "people.csv")
    return ["--people", str(rig.home.root / "people.csv")]


def _batch(rig: Rig, name: str, options: Sequence[str]) -> tuple[float, float, int]:
    """Seconds, the most memory that a process of it held (GiB), and how many people have a slate."""
    folder = rig.home.root / name
    began = time.monotonic()
    process = subprocess.Popen(
        [*SLATE, "batch", "--out", str(folder), *options, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    output, errors = process.communicate()
    seconds = time.monotonic() - began
    if process.returncode:
        sys.exit(f"`slate batch` ended with {process.returncode}:\n{errors.decode()}")
    return seconds, _peak_gib(), int(json.loads(output)["people"])


def _peak_gib() -> float:
    """Of all processes that ended so far and those they waited for, the most that one held."""

    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return round(most / 2**30, 2)


if __name__ == "__main__":
    main()
