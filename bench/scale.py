"""How long do all stages take, and in how much memory, as the interactions grow?

    python -m bench.scale [--interactions 100000 1000000 ...] [--people N --items N] [--snapshots N]
        [--keep FOLDER]

Makes an export with the heavy tails of MovieLens 25M (see `bench.heavy_tails`), in its proportions of people and items
or in those named, and runs the stages `ingest` to `release` on it, each in a process of its own, in a workspace that is
thrown away, or kept in FOLDER for other benchmarks. `--snapshots` is `features.n_snapshots`, as shipped where it is not
named. Prints stage, seconds and peak memory for each size, and how they
grew.

Limits on two cores: a million interactions in 3 minutes (Y = 5 ms; see `bench.yardstick`) and 4 GiB, 25 million in 40
minutes and 16 GiB; where one does not hold, it says so and exits with 1.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from bench.heavy_tails import MAPPING, Shape, write_export
from bench.report import print_figures, print_table
from bench.yardstick import QUICK_Y_MS, yardstick_ms
from contracts.stage_code import GRAPH, ROOMS

CHECKOUT = Path(__file__).resolve().parent.parent
SEED = 7
STAGES = ("ingest", "validate", "features", "candidates test", "candidates all", "index test", "index all")
STAGES += ("ranking", "evaluate", "release")
# interactions -> seconds at Y = 5 ms, GiB
LIMITS = {1_000_000: (180, 4.0), 25_000_000: (2400, 16.0)}
CHANGES: Mapping[str, Mapping[str, Any]] = {
    "ingest": {"source": "files", "path": "export", "files": MAPPING},
    # People here come back to what they touched; a bound on that is no part of what is measured.
    "validate": {"baseline": "baseline.json", "min_value": 0.0, "max_value": 10_000.0, "max_duplicate_share": 1.0},
}


def main() -> None:
    """Run the stages for each size, print a table of each and of how it grew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--interactions", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--people", type=int)
    parser.add_argument("--items", type=int)
    parser.add_argument("--snapshots", type=int)
    parser.add_argument("--keep", type=Path)
    asked = parser.parse_args()
    y_ms, runs = yardstick_ms(), []
    for n_interactions in asked.interactions:
        shape = Shape.of(n_interactions)
        shape = Shape(n_interactions, asked.people or shape.n_people, asked.items or shape.n_items)
        with _folder(asked.keep) as folder:
            runs.append(_run(folder, shape, asked.snapshots))
        _print_run(runs[-1])
    if len(runs) > 1:
        _print_growth(runs)
    broken = [sentence for run in runs for sentence in _broken_limits(run, y_ms)]
    print("\n".join(broken))
    print_figures("scale", {"yardstick_ms": round(y_ms, 2), "runs": runs}, data="made up, heavy-tailed", seed=SEED)
    if broken:
        sys.exit(1)


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        shutil.rmtree(keep, ignore_errors=True)
        keep.mkdir(parents=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="slatework-scale-") as name:
        yield Path(name)


def _run(folder: Path, shape: Shape, n_snapshots: int | None) -> dict[str, Any]:
    prepare(folder, shape, n_snapshots)
    stages = {stage: _run_stage(folder, stage) for stage in STAGES}
    return {
        "interactions": shape.n_interactions,
        "people": shape.n_people,
        "items": shape.n_items,
        "seconds": round(sum(stage["seconds"] for stage in stages.values()), 1),
        "peak_gib": max(stage["peak_gib"] for stage in stages.values()),
        "stages": stages,
    }


def prepare(folder: Path, shape: Shape, n_snapshots: int | None = None) -> None:
    """A workspace with this checkout's code, the shop's parameters, and the export. n_snapshots: None as shipped."""
    for name in (*ROOMS, GRAPH):
        (folder / name).symlink_to(CHECKOUT / name)
    yaml = YAML()
    params = yaml.load((CHECKOUT / "params.yaml").read_text(encoding="utf-8"))
    params["app"] = "scale"
    for group, values in CHANGES.items():
        params[group].update(values)
    if n_snapshots is not None:
        params["features"]["n_snapshots"] = n_snapshots
    (folder / "traffic").mkdir()
    (folder / "baseline.json").write_text('{"tables": {}}')
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(params, file)
    write_export(folder / "export", shape, SEED)


def environment(folder: Path) -> dict[str, str]:
    """That of a command in this workspace, with a SLATE_HOME of its own."""
    return {**os.environ, "SLATE_HOME": str(folder / "home"), "PYTHONPATH": str(folder)}


def _run_stage(folder: Path, stage: str) -> dict[str, float]:
    """Seconds and peak memory of the process that runs it."""
    print(f"{stage} ...", end=" ", flush=True, file=sys.stderr)
    began = time.monotonic()
    module, *cutoff = stage.split()
    command = [sys.executable, "-m", f"pipelines.{module}", *cutoff]
    process = subprocess.Popen(command, cwd=folder, env=environment(folder), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - began
    print(f"{seconds:.1f} s", file=sys.stderr)
    if process.returncode:
        sys.exit(f"`python -m pipelines.{stage}` ended with {process.returncode}, after {seconds:.0f} s.")
    peak_bytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    processor_s = usage.ru_utime + usage.ru_stime
    return {
        "seconds": round(seconds, 1),
        "processor_s": round(processor_s, 1),
        "peak_gib": round(peak_bytes / 2**30, 2),
    }


def _print_run(run: Mapping[str, Any]) -> None:
    print(f"{run['interactions']:,} interactions, {run['people']:,} people, {run['items']:,} items")
    rows = [[name, *map(str, figures.values())] for name, figures in run["stages"].items()]
    rows.append(["all", str(run["seconds"]), "", str(run["peak_gib"])])
    print_table(["stage", "seconds", "processor s", "peak GiB"], rows)


def _print_growth(runs: Sequence[Mapping[str, Any]]) -> None:
    """By stage, how many times as long each size takes as the size before it."""
    rows = [
        [
            stage,
            *(
                f"{later['stages'][stage]['seconds'] / max(earlier['stages'][stage]['seconds'], 0.1):.1f}"
                for earlier, later in pairwise(runs)
            ),
        ]
        for stage in STAGES
    ]
    times = [f"x {later['interactions'] / earlier['interactions']:g}" for earlier, later in pairwise(runs)]
    print_table(["stage, times as long", *times], rows)


def _broken_limits(run: Mapping[str, Any], y_ms: float) -> list[str]:
    if run["interactions"] not in LIMITS:
        return []
    quick_s, most_gib = LIMITS[run["interactions"]]
    most_s = quick_s * y_ms / QUICK_Y_MS
    name = f"{run['interactions']:,} interactions took"
    late = [f"{name} {run['seconds']:.0f} s; the limit at Y = {y_ms:.1f} ms is {most_s:.0f}."]
    large = [f"{name} {run['peak_gib']} GiB; the limit is {most_gib}."]
    return late * (run["seconds"] > most_s) + large * (run["peak_gib"] > most_gib)


if __name__ == "__main__":
    main()
