"""Implicit's BPR. Source: Rendle et al., UAI 2009."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from implicit.cpu.bpr import BayesianPersonalizedRanking

from bench.quality.peers.exchange import Recommend, Train, best_unseen, run_peer


def fit(train: Train, parameters: Mapping[str, Any], seed: int) -> Recommend:
    """parameters: of the library's constructor."""
    model = BayesianPersonalizedRanking(random_state=seed, num_threads=1, **parameters)  # of several, threads race
    model.fit(train.touched(), show_progress=False)
    return best_unseen(train, lambda users: model.user_factors[users] @ model.item_factors.T)


if __name__ == "__main__":
    run_peer(fit)
