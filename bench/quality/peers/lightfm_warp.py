"""LightFM with the WARP loss, without features of people or items. Source: Kula, CBRecSys 2015."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightfm import LightFM

from bench.quality.peers.exchange import Recommend, Train, best_unseen, run_peer


def fit(train: Train, parameters: Mapping[str, Any], seed: int) -> Recommend:
    """parameters: `epochs`, and others of the library's constructor."""
    others = {name: value for name, value in parameters.items() if name != "epochs"}
    model = LightFM(loss="warp", random_state=seed, **others)
    model.fit(train.touched().tocoo(), epochs=parameters["epochs"], num_threads=1)  # of several, threads race
    _, user_factors = model.get_user_representations()
    item_biases, item_factors = model.get_item_representations()
    return best_unseen(train, lambda users: user_factors[users] @ item_factors.T + item_biases)


if __name__ == "__main__":
    run_peer(fit)
