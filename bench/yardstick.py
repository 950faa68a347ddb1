"""How quick is this machine? LightGBM's own predict of 500 rows x 40 features, 300 trees of 63 leaves, one thread.

    python -m bench.yardstick

Y is 5 ms on a quick machine and 12 ms on a slow one; limits of serving are told for Y = 12 ms. Measure it while nothing
else runs.
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


def main() -> None:
    """Print Y."""
    print_figures("yardstick", {"yardstick_ms": round(yardstick_ms(), 2)}, data="random", seed=SEED)


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


if __name__ == "__main__":
    main()
