"""How long does it take to diversify a slate: 20 of 200 candidates of 64 dimensions, on one thread?

    python -m bench.rerank [--rounds N]

Each method as the request path calls it (`recommender/slates/diversification.py`): the candidates' vectors looked up,
the likeness of all pairs, and the strength halved in until the slate is within its loss. The candidates are random, of
one to four of 64 categories each; the budget is so small that no method's first slate is within it. Beside them
pyversity's MMR and DPP, which choose once and keep to no budget; it has no calibration.

Limit: 2 ms each; where one takes longer, it exits with 1.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Literal

import numpy as np
import polars as pl
import pyversity
from threadpoolctl import threadpool_limits

from bench.report import print_figures, print_table
from bench.yardstick import SEED, yardstick_ms
from contracts.ids import FloatArray
from contracts.settings.diversity import DiversitySettings
from contracts.tables import ITEMS_SCHEMA
from recommender.catalogue import Catalogue
from recommender.slates.diversification import Diversification

N_CANDIDATES, N_CATEGORIES, K = 200, 64, 20
N_ITEMS, N_HISTORY = 1000, 50
LIMIT_MS = 2.0
Method = Literal["mmr", "dpp", "calibration"]
METHODS: tuple[Method, ...] = ("mmr", "dpp", "calibration")


def main() -> None:
    """Diversify, print a table, and hold the figures against the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    y_ms, rng = yardstick_ms(), np.random.default_rng(SEED)
    catalogue = _catalogue(rng)
    candidates = rng.permutation(N_ITEMS)[:N_CANDIDATES].astype(np.int32)
    scores = -np.sort(-rng.random(N_CANDIDATES)).astype(np.float32)
    history = rng.integers(0, N_ITEMS, N_HISTORY).astype(np.int32)
    ours = {method: _ours(catalogue, method, candidates, scores, history) for method in METHODS}
    with threadpool_limits(1):
        took = {method: _median_ms(diversify, rounds) for method, diversify in ours.items()}
        vectors = catalogue.unit_categories_of(candidates)
        peer = {method: _median_ms(_of_peer(method, vectors, scores), rounds) for method in METHODS[:2]}
    rows = [
        [name, f"{ms:.3f}", f"{ms / y_ms:.3f}", f"{peer[name]:.3f}" if name in peer else ""]
        for name, ms in took.items()
    ]
    print_table(["method", "ms", "of Y", "pyversity ms"], rows)
    figures = {f"{name}_ms": round(ms, 3) for name, ms in took.items()}
    figures |= {f"pyversity_{name}_ms": round(ms, 3) for name, ms in peer.items()}
    print_figures("rerank", {**figures, "y_ms": round(y_ms, 2), "rounds": rounds}, data="random", seed=SEED)
    if max(took.values()) > LIMIT_MS:
        sys.exit(f"Not within the limit: {LIMIT_MS} ms for {N_CANDIDATES} candidates of {N_CATEGORIES} dimensions.")


def _catalogue(rng: np.random.Generator) -> Catalogue:
    """Of items that have one to four categories each."""
    names = np.array([f"category {number}" for number in range(N_CATEGORIES)])
    categories = [rng.choice(names, rng.integers(1, 5), replace=False).tolist() for _ in range(N_ITEMS)]
    items = pl.DataFrame({"item_id": [f"i{number:04}" for number in range(N_ITEMS)], "categories": categories})
    return Catalogue.from_items(pl.concat([ITEMS_SCHEMA.to_frame(), items], how="diagonal_relaxed"))


def _ours(
    catalogue: Catalogue, method: Method, candidates: np.ndarray, scores: FloatArray, history: np.ndarray
) -> Callable[[], object]:
    settings = DiversitySettings(method=method, strength=0.9, max_relevance_loss=0.02)
    rule = Diversification(catalogue, settings)
    if rule.choose(candidates, scores, history, K).strength in (0, settings.strength):
        raise AssertionError(f"{method} was meant to look for a strength; make the budget smaller or larger.")
    return lambda: rule.choose(candidates, scores, history, K)


def _of_peer(method: Method, vectors: FloatArray, scores: FloatArray) -> Callable[[], object]:
    return lambda: pyversity.diversify(vectors, scores, K, strategy=pyversity.Strategy(method))


def _median_ms(call: Callable[[], object], rounds: int) -> float:
    """The median of some calls, after one that warms up."""
    took = []
    for _ in range(1 + rounds):
        began = time.perf_counter()
        call()
        took.append(1000 * (time.perf_counter() - began))
    return statistics.median(took[1:])


if __name__ == "__main__":
    main()
