"""How fast are worlds made up, in how much memory, and do they look like real ones?

    python -m bench.simulate [--people 10000 100000 1000000] [--processes N]

Each size is written to a temporary folder by a process of its own: shop, 20,000 items, 10 days, impressions and truth
included. The shape is that of 50,000 people and 5,000 items over 30 days. Exits 1 when a figure lies outside its band.
`--people 10000000` takes some 15 GiB of disk and a few minutes.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.report import print_figures, print_table
from bench.simulated_shape import PUBLISHED, outside, shape_of
from sources.simulator.world import World
from sources.simulator.world_files import write_world
from sources.simulator.world_spec import WorldKind, WorldSpec

SEED = 7
N_ITEMS, N_DAYS = 20_000, 10
SHAPE_SIZE = (50_000, 5_000, 30)


@dataclass(frozen=True)
class _Cost:
    people: int
    seconds: float
    person_days_per_s: int
    events: int
    impressions: int
    peak_mib: int


def main() -> None:
    """Measure each size, compare the shape, and print both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one is not None:
        print(json.dumps(asdict(_measure(asked.one, asked.processes))))
        return
    costs = [_in_own_process(n_people, asked.processes) for n_people in asked.people]
    print_table(list(asdict(costs[0])), [[f"{value:,}" for value in asdict(cost).values()] for cost in costs])
    shapes = {kind: shape_of(World.create(kind, *SHAPE_SIZE, SEED).days(), SHAPE_SIZE[1]) for kind in WorldKind}
    for kind, shape in shapes.items():
        print(f"\n{kind}: {SHAPE_SIZE[0]:,} people, {SHAPE_SIZE[1]:,} items, {SHAPE_SIZE[2]} days")
        print_table(["figure", "ours", "band", "real"], [_row(kind, name, value) for name, value in shape.items()])
    wrong = {str(kind): outside(kind, shape) for kind, shape in shapes.items()}
    figures = {
        "sizes": [asdict(cost) for cost in costs],
        "processes": asked.processes,
        "memory_growth": round(costs[-1].peak_mib / costs[0].peak_mib, 2),
        "shape": {
            str(kind): {name: round(value, 4) for name, value in shape.items()} for kind, shape in shapes.items()
        },
        "outside_band": wrong,
    }
    print_figures("simulate", figures, data="simulated", seed=SEED)
    if any(wrong.values()):
        sys.exit(1)


def _row(kind: WorldKind, name: str, value: float) -> list[str]:
    known = PUBLISHED[kind].get(name)
    return [name, f"{value:.3f}", f"{known.low:g} to {known.high:g}" if known else "", known.says if known else ""]


def _in_own_process(n_people: int, processes: int) -> _Cost:
    command = [sys.executable, "-m", "bench.simulate", "--one", str(n_people), "--processes", str(processes)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return _Cost(**json.loads(done.stdout.splitlines()[-1]))


def _measure(n_people: int, processes: int) -> _Cost:
    spec = WorldSpec(WorldKind.SHOP, n_people, N_ITEMS, N_DAYS, SEED)
    with tempfile.TemporaryDirectory(prefix="slatework-simulate-") as folder:
        started = time.perf_counter()
        rows = write_world(spec, Path(folder), processes)
        seconds = time.perf_counter() - started
    peaks = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    peak_kib = max(peaks)  # of the largest process
    return _Cost(
        people=n_people,
        seconds=round(seconds, 2),
        person_days_per_s=round(n_people * N_DAYS / seconds),
        events=rows["interactions"],
        impressions=rows["impressions"],
        peak_mib=round(peak_kib / 1024),
    )


if __name__ == "__main__":
    main()
