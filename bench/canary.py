"""Does the guard end what is worse, and leave what is not, however often it looks? And what does a long log cost?

    python -m bench.canary [--worlds N] [--entries N]

Simulated people (half of them come back) under a guard that looks forty times; beside it, intervals made for one look.
Then a log of so many entries is written to a Redis and read by the report.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import numpy as np
from tqdm import trange

from bench.report import print_figures, print_table
from contracts.home import Home
from feature_store.online.connection import Client, connect
from feature_store.server.embedded_redis import online_store
from release.canary.guardrails import check_guardrails, kept_clicks
from release.canary.sums import CANARY, Cells
from release.canary.trail import read_report
from tests.canary_worlds import LIMITS, START, CanaryWorld, Log, Stream, run_of, settled_ms

SHARE = 0.3
CANDIDATES = {
    "as good": (0.2, 0.2),
    "loses just what it may": (0.2, 0.18),
    "loses twice that": (0.2, 0.16),
    "half as good": (0.2, 0.1),
}
APP = "bench"
RECORDS_PER_WRITE = 10_000


def main() -> None:
    """Print one table for the guard, one for the log, and the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--entries", type=int, default=1_000_000)
    asked = parser.parse_args()
    ended = {name: _ended(clicks, asked.worlds, name) for name, clicks in CANDIDATES.items()}
    print_table(
        ["candidate", "worlds ended", "people it reached, median", "ended by intervals for one look"],
        [
            (name, f"{n}/{asked.worlds}", people or "-", f"{once}/{asked.worlds}")
            for name, (n, people, once) in ended.items()
        ],
    )
    read = _read(asked.entries)
    print_table(["log entries", "CPU s", "MiB more at the peak"], [tuple(read.values())])
    figures = {name.replace(" ", "_"): n / asked.worlds for name, (n, _, _) in ended.items()}
    once = {f"{name.replace(' ', '_')}_once": n / asked.worlds for name, (_, _, n) in ended.items()}
    print_figures("canary", {**figures, **once, **read}, data=f"simulated, {asked.worlds} worlds, seeds from 0")


def _ended(clicks: tuple[float, float], n_worlds: int, name: str) -> tuple[int, int, int]:
    """Worlds ended by the guard, the people the candidate reached in them (median), worlds ended by naive intervals."""
    reached, n_once = [], 0
    for seed in trange(n_worlds, desc=name, disable=None):
        stream = Stream(np.random.default_rng(seed), clicks, SHARE)
        n_people = _first(stream, _crossed)
        reached += [n_people] if n_people else []
        n_once += _first(stream, _crossed_once) is not None
    return len(reached), int(np.median(reached)) if reached else 0, n_once


def _first(stream: Stream, crossed: Callable[[Cells], bool]) -> int | None:
    """The canary's people at the first look at which it is crossed."""
    return next((int((cells.arm == CANARY).sum()) for cells in stream.looks() if crossed(cells)), None)


def _crossed(cells: Cells) -> bool:
    return any(check.crossed for check in check_guardrails(cells, [SHARE], LIMITS))


def _crossed_once(cells: Cells) -> bool:
    difference = kept_clicks(cells, LIMITS)
    return difference is not None and difference.once().high < 0


def _read(n_entries: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, online_store(Home(Path(folder))) as url:
        with closing(connect(url)) as client:
            n_written = _write(client, n_entries)
        # A process of its own: this one's peak is of what it wrote.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
            n_read, seconds, mib = fresh.submit(_read_once, url).result()
    if n_read != n_written:
        raise SystemExit(f"{n_read} of {n_written} entries were read")
    return {"entries": n_written, "read_s": round(seconds, 1), "read_mib": round(mib, 1)}


def _read_once(url: str) -> tuple[int, float, float]:
    """Entries read, seconds of the processor, and MiB by which the peak of memory grew."""
    with closing(connect(url)) as client:
        before, started = _peak_mib(), time.process_time()
        report, _ = read_report(client, APP, run_of(SHARE), LIMITS, START + timedelta(days=1))
    return report.n_read, time.process_time() - started, _peak_mib() - before


def _write(client: Client, n_entries: int) -> int:
    log, rng, n_written = Log(client, APP), np.random.default_rng(0), 0
    world = CanaryWorld(run_of(SHARE).canary, n_visits=2, slate=10)
    while n_written < n_entries:
        people = [f"{n_written}-{at}" for at in range(RECORDS_PER_WRITE // 20)]
        visits = list(world.visits(people, rng))
        log.write(visits, settled_ms() + n_written)
        n_written += len(visits)
    return n_written


def _peak_mib() -> float:
    # Not `resource`: a new process starts there with the peak of the one that made it.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main()
