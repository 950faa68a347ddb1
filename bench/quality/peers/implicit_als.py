"""Implicit's ALS. Source: Hu, Koren and Volinsky, ICDM 2008."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from implicit.cpu.als import AlternatingLeastSquares

from bench.quality.peers.exchange import Recommend, Train, best_unseen, run_peer

N_THREADS = 2


def fit(train: Train, parameters: Mapping[str, Any], seed: int) -> Recommend:
    """parameters: of the library's constructor."""
    model = AlternatingLeastSquares(random_state=seed, num_threads=N_THREADS, **parameters)
    model.fit(train.touched(), show_progress=False)
    return best_unseen(train, lambda users: model.user_factors[users] @ model.item_factors.T)


if __name__ == "__main__":
    run_peer(fit)
