"""EASE: item to item by a closed form. Source: Steck, Embarrassingly shallow autoencoders, WWW 2019, eq. 8."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.quality.peers.exchange import Recommend, Train, best_unseen, run_peer


def fit(train: Train, parameters: Mapping[str, Any], seed: int) -> Recommend:  # noqa: ARG001 - nothing is drawn
    """parameters: regularization, the paper's lambda."""
    touched = train.touched()
    weights = item_weights((touched.T @ touched).toarray().astype(np.float64), parameters["regularization"])
    return best_unseen(train, lambda users: touched[users] @ weights)


def item_weights(gram: np.ndarray, regularization: float) -> np.ndarray:
    """(n_items, n_items) the paper's B of G = X'X: its diagonal is 0."""
    inverse = np.linalg.inv(gram + regularization * np.eye(len(gram)))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights


if __name__ == "__main__":
    run_peer(fit)
