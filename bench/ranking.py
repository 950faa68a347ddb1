"""How long does a ranker score, by lignum and by LightGBM's own predict, and are the scores the same?

    python -m bench.ranking [--rounds N]

Two shapes, on one thread: the ranker that ships (200 trees of 7 leaves) and a heavy one (300 trees of 63 leaves); the
rows are 500 candidates with 40 features. Both score in turn; printed are medians, and how they stand to each other and
to Y (see `bench.yardstick`).

Limits: the same scores to the bit, and half of LightGBM's time for the heavy one; where one does not hold, it exits
with 1.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import lightgbm
import numpy as np

from bench.report import print_figures, print_table
from bench.yardstick import N_FEATURES, N_ROWS, SEED, yardstick_ms
from contracts.settings.ranking import RankingSettings
from recommender.ranking.ranker import Ranker, RankingRows

SHAPES = {"as shipped": (200, 7), "heavy": (300, 63)}
N_QUERIES, N_SNAPSHOTS = 200, 4
LIMIT = 0.5  # of LightGBM's time


def main() -> None:
    """Score in turn, print a table, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    rounds = parser.parse_args().rounds
    y_ms, rows = yardstick_ms(), _rows()
    asked = np.random.default_rng(SEED).normal(size=(N_ROWS, N_FEATURES)).astype(np.float32)
    table, figures, equal, ratio = [], dict[str, object](y_ms=round(y_ms, 2), rounds=rounds), True, 0.0
    for name, (n_trees, n_leaves) in SHAPES.items():
        ranker = _ranker(rows, n_trees, n_leaves)
        plain = replace(ranker, quick=None)
        equal &= ranker.quick is not None and bool((ranker.score(asked) == plain.score(asked)).all())
        quick_ms, plain_ms = _medians_ms([lambda: ranker.score(asked), lambda: plain.score(asked)], rounds)  # noqa: B023
        ratio = quick_ms / plain_ms
        in_times = (f"{quick_ms:.2f}", f"{plain_ms:.2f}", f"{ratio:.2f}", f"{quick_ms / y_ms:.2f}")
        table.append([name, ranker.n_trees, *in_times])
        figures[name.replace(" ", "_")] = {"lignum_ms": round(quick_ms, 3), "lightgbm_ms": round(plain_ms, 3)}
    print_table(["ranker", "trees", "lignum ms", "LightGBM ms", "lignum / LightGBM", "lignum / Y"], table)
    print(f"The scores are {'the same to the bit' if equal else 'NOT the same'}; Y is {y_ms:.2f} ms.")
    print_figures("ranking", {**figures, "heavy_ratio": round(ratio, 3), "equal": equal}, data="random", seed=SEED)
    if not equal or ratio > LIMIT:
        sys.exit(f"Not within the limit: the same scores, and {LIMIT} of LightGBM's time for the heavy ranker.")


def _medians_ms(calls: list[Callable[[], object]], rounds: int) -> list[float]:
    """(n_calls,) what each takes, in turn; a first round warms up."""
    took: list[list[float]] = [[] for _ in calls]
    for _ in range(1 + rounds):
        for call, each in zip(calls, took, strict=True):
            began = time.perf_counter()
            call()
            each.append(1000 * (time.perf_counter() - began))
    return [statistics.median(each[1:]) for each in took]


def heavy_ranker(names: tuple[str, ...], built_with: Mapping[str, str]) -> Ranker:
    """One of the heavy shape over features of these names: all of its trees are full, for it learnt noise by heart."""
    n_trees, n_leaves = SHAPES["heavy"]
    rng = np.random.default_rng(SEED)
    values, wanted = rng.normal(size=(10 * N_ROWS, len(names))), rng.integers(0, 2, 10 * N_ROWS)
    params = {"num_leaves": n_leaves, "min_data_in_leaf": 1, "objective": "lambdarank", "verbose": -1, "num_threads": 1}
    params["min_sum_hessian_in_leaf"] = 0
    learnt = lightgbm.Dataset(values, wanted, group=[N_ROWS] * 10, feature_name=list(names))
    booster = lightgbm.train(params, learnt, num_boost_round=n_trees)
    return Ranker(booster.model_to_string(), names, built_with, n_trees, n_threads=1, trained=booster)


def _rows() -> RankingRows:
    rng = np.random.default_rng(SEED)
    values = rng.normal(size=(N_QUERIES * N_ROWS, N_FEATURES)).astype(np.float32)
    wanted = values[:, :5].sum(axis=1) + rng.normal(size=len(values)) > 4
    return RankingRows(
        tuple(f"f{number}" for number in range(N_FEATURES)),
        values,
        wanted.astype(np.int32),
        np.full(N_QUERIES, N_ROWS, np.int32),
        np.repeat(np.arange(N_SNAPSHOTS), N_QUERIES // N_SNAPSHOTS),
        np.ones(N_QUERIES),
    )


def _settings(n_trees: int, n_leaves: int) -> RankingSettings:
    """Early stopping is off, so that a ranker has all of its trees."""
    return RankingSettings(
        n_trees=n_trees,
        n_leaves=n_leaves,
        learning_rate=0.01,
        min_rows_per_leaf=20,
        feature_share=0.8,
        row_share=0.8,
        l2=1.0,
        early_stopping_rounds=n_trees,
        n_threads=1,
        max_queries=10_000,  # as many as there are
    )


def _ranker(rows: RankingRows, n_trees: int, n_leaves: int) -> Ranker:
    """Trained, saved and loaded."""
    with tempfile.TemporaryDirectory() as folder:
        Ranker.fit(rows, _settings(n_trees, n_leaves), SEED, {}).save(Path(folder))
        return Ranker.load(Path(folder))


if __name__ == "__main__":
    main()
