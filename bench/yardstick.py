"""How quick is this machine? LightGBM's own predict of 500 rows x 40 features, 300 trees of 63 leaves, one thread.

    python -m bench.yardstick

Y is 5 ms on a quick machine and 12 ms on a slow one; limits of serving are told for Y = 12 ms. Measure it while nothing
else runs.

Y is a median, and says nothing of pauses. A virtual machine may lose its processor for some tens of milliseconds every
other second, and no p99 of a server on it is below that. So a piece of work that only adds, begun again and again with
nothing beside it, is timed as well: what is late there, the machine made late.
"""

from __future__ import annotations

import statistics
import time

import lightgbm
import numpy as np

from bench.report import print_figures

N_ROWS, N_FEATURES, N_TREES, N_LEAVES = 500, 40, 300, 63
SEED = 7
QUICK_Y_MS = 5.0
N_TIMES = 30
N_ADDED = 120_000  # some 5 ms, as much as an answer
PAUSE_S, ADDED_FOR_S = 0.02, 8.0


def main() -> None:
    """Print Y."""
    figures = {"yardstick_ms": round(yardstick_ms(), 2), "adding_alone": adding_alone_ms()}
    print_figures("yardstick", figures, data="random", seed=SEED)


def yardstick_ms() -> float:
    """The median of some predictions, after one that warms up."""
    rng = np.random.default_rng(SEED)
    rows, labels = rng.normal(size=(5000, N_FEATURES)), rng.integers(0, 2, 5000)
    params = {"num_leaves": N_LEAVES, "min_data_in_leaf": 1, "objective": "binary", "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(params, lightgbm.Dataset(rows, labels), num_boost_round=N_TREES)
    asked = rows[:N_ROWS]
    took = []
    for _ in range(1 + N_TIMES):
        began = time.perf_counter()
        booster.predict(asked, num_threads=1)
        took.append(1000 * (time.perf_counter() - began))
    return statistics.median(took[1:])


def adding_alone_ms() -> dict[str, float]:
    """How long it takes to add N_ADDED numbers in plain Python, begun again after each pause: p50, p99, the longest."""
    took: list[float] = []
    end = time.monotonic() + ADDED_FOR_S
    while time.monotonic() < end:
        time.sleep(PAUSE_S)
        began = time.perf_counter()
        _add()
        took.append(1000 * (time.perf_counter() - began))
    return {"p50_ms": _rounded(took, 50), "p99_ms": _rounded(took, 99), "max_ms": _rounded(took, 100)}


def _add() -> int:
    total = 0
    for number in range(N_ADDED):
        total += number
    return total


def _rounded(took: list[float], percent: float) -> float:
    return round(float(np.percentile(took, percent)), 2)


if __name__ == "__main__":
    main()
