"""RecTools' SASRec. Source: Kang and McAuley, Self-attentive sequential recommendation, ICDM 2018."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytorch_lightning import seed_everything
from rectools.models import SASRecModel

from bench.quality.peers.exchange import Recommend, Train, run_peer
from bench.quality.peers.rectools_data import dataset_of, recommender_of


def fit(train: Train, parameters: Mapping[str, Any], seed: int) -> Recommend:
    """parameters: of the library's constructor."""
    seed_everything(seed, workers=True)
    dataset = dataset_of(train)
    model = SASRecModel(deterministic=True, recommend_torch_device="cpu", **parameters)
    model.fit(dataset)
    return recommender_of(model, dataset)


if __name__ == "__main__":
    run_peer(fit)
