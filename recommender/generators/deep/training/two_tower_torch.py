"""Trains the towers of `candidates.two_tower` with PyTorch and TorchRec, and hands over vectors and a forward pass.

    python -m recommender.generators.deep.training.two_tower_torch FOLDER

Sources: Covington, Adams and Sargin, "Deep Neural Networks for YouTube Recommendations", RecSys 2016 (a bag of what was
watched); Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations", RecSys 2019 (two
towers, in-batch negatives, corrected by log Q); Khrylchenko et al., "Correcting the LogQ Correction", RecSys 2025 (the
item that is told was not drawn, and is not corrected).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional
from torchrec.modules.embedding_configs import EmbeddingBagConfig, PoolingType
from torchrec.modules.embedding_modules import EmbeddingBagCollection
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from recommender.generators.deep.training.epochs import Epochs
from recommender.generators.deep.training.examples import (
    FIRST_VECTORS,
    Bags,
    Batch,
    Examples,
    count_for_anything,
    log_shares,
)
from recommender.generators.deep.training.exchange import Checkpoints, run_training
from recommender.generators.deep.training.torch_training import as_array, settle_torch, train

ITEMS, CATEGORIES = "of_items", "of_categories"  # a table that is called `items` hides a method of PyTorch


class Tower(nn.Module):
    """Bags -> vectors (n, dim): the sum of the items' own, and what a hidden layer makes of all that is known.

    The embeddings are tables of TorchRec, which can divide them among devices.
    """

    def __init__(self, n_items: int, n_categories: int, n_facts: int, dim: int, width: int) -> None:
        super().__init__()
        self.tables = EmbeddingBagCollection(
            tables=[_table(ITEMS, n_items, dim), _table(CATEGORIES, max(n_categories, 1), dim)], is_weighted=True
        )
        n_known = 2 * dim + n_facts
        self.widen = nn.Parameter(torch.randn(n_known, width) / n_known**0.5)
        self.widen_bias = nn.Parameter(torch.zeros(width))
        self.narrow = nn.Parameter(torch.zeros(width, dim))
        self.narrow_bias = nn.Parameter(torch.zeros(dim))

    def parts(self, bags: Bags) -> tuple[torch.Tensor, torch.Tensor]:
        """(n, dim), (n, width) what is linear in the bags: of a bag of many it is the sum of those of each."""
        device = self.widen.device
        pooled = self.tables(keyed(bags, device)).to_dict()
        known = torch.cat([pooled[ITEMS], pooled[CATEGORIES], torch.from_numpy(bags.facts).to(device)], dim=1)
        return pooled[ITEMS], known @ self.widen

    def forward(self, bags: Bags) -> torch.Tensor:
        own, wide = self.parts(bags)
        return own + functional.relu(wide + self.widen_bias) @ self.narrow + self.narrow_bias


class TwoTowers(nn.Module):
    """One tower for people and one for items; bias: (n_items,) what speaks for an item whoever asks."""

    def __init__(self, n_items: int, n_categories: int, n_facts: int, dim: int, width: int) -> None:
        super().__init__()
        self.person = Tower(n_items, n_categories, n_facts, dim, width)
        self.item = Tower(n_items, n_categories, n_facts, dim, width)
        self.bias = nn.Parameter(torch.zeros(n_items))

    def scores(self, batch: Batch) -> torch.Tensor:
        """(n, n) of each item that is told, for each person."""
        items = torch.from_numpy(batch.items).to(self.bias.device)
        return self.person(batch.histories) @ self.item(batch.told).T + self.bias[items]


def _table(name: str, n_rows: int, dim: int) -> EmbeddingBagConfig:
    def draw(weights: torch.Tensor) -> torch.Tensor:
        return nn.init.normal_(weights, std=FIRST_VECTORS)

    return EmbeddingBagConfig(
        name=name, num_embeddings=n_rows, embedding_dim=dim, feature_names=[name], pooling=PoolingType.SUM, init_fn=draw
    )


def keyed(bags: Bags, device: torch.device) -> KeyedJaggedTensor:
    """Bags as TorchRec reads them."""
    lengths = np.concatenate([np.diff(bags.item_offsets), np.diff(bags.category_offsets)])
    return KeyedJaggedTensor(
        keys=[ITEMS, CATEGORIES],
        values=torch.from_numpy(np.concatenate([bags.items, bags.categories])),
        weights=torch.from_numpy(np.concatenate([bags.item_weights, bags.category_weights])),
        lengths=torch.from_numpy(lengths),
    ).to(device)


def in_batch_losses(scores: torch.Tensor, log_chance: torch.Tensor, is_told_elsewhere: torch.Tensor) -> torch.Tensor:
    """(n,) the cross-entropy over all items, estimated from those that are told to the others of the batch.

    scores: (n, n), what is told to each on the diagonal. Each of the others was drawn with its chance, and stands for
    1 / ((n - 1) * chance) items; one that is told to this person too stands for none.
    """
    n = len(scores)
    itself = torch.eye(n, dtype=torch.bool, device=scores.device)
    drawn = scores - log_chance - float(np.log(max(n - 1, 1)))
    corrected = torch.where(itself, scores, drawn.masked_fill(is_told_elsewhere, -torch.inf))
    return functional.cross_entropy(corrected, torch.arange(n, device=scores.device), reduction="none")


def learn(given: Mapping[str, npt.NDArray[Any]], settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The vectors of items and the forward pass for a person: see `two_tower.py`."""
    settle_torch()
    # TorchRec asks in an old way whether PyTorch traces it, which warns whoever trains and can change nothing about it.
    logging.getLogger("torch.fx._symbolic_trace").setLevel(logging.ERROR)
    torch.manual_seed(settings["seed"])
    examples, device = Examples(given, settings), settings["device"]
    traits = examples.traits
    n_items, n_facts = traits.facts.shape
    model = TwoTowers(n_items, int(settings["n_categories"]), n_facts, int(settings["dim"]), int(settings["width"]))
    with torch.no_grad():
        model.bias += torch.from_numpy(log_shares(given["items"], given["weights"], n_items))
    model = model.to(device)
    epochs = Epochs.of("two_tower", len(examples.asked), settings)

    def loss_of(rows: npt.NDArray[np.int64], rng: np.random.Generator) -> torch.Tensor | None:
        batch = examples.drawn(rows, rng)
        if not count_for_anything(batch.weights):
            return None
        log_chance, told_elsewhere, weights = (
            torch.from_numpy(array).to(device) for array in (batch.log_chance, batch.is_told_elsewhere, batch.weights)
        )
        losses = in_batch_losses(model.scores(batch), log_chance, told_elsewhere)
        return (losses * weights).sum() / weights.sum()

    train(model, loss_of, epochs, settings, Checkpoints(folder))
    return handed_over(model, examples)


def handed_over(model: TwoTowers, examples: Examples) -> dict[str, Any]:
    """What NumPy goes on with."""
    with torch.no_grad():
        every, person = examples.traits.each(), model.person
        item_vectors = torch.cat([model.item(every), model.bias[:, None]], dim=1)
        spoken = torch.cat(person.parts(every), dim=1)
    arrays = {
        "item_vectors": item_vectors,
        "spoken": spoken,
        "widen_bias": person.widen_bias,
        "narrow": person.narrow,
        "narrow_bias": person.narrow_bias,
    }
    return {name: as_array(array) for name, array in arrays.items()}


if __name__ == "__main__":
    run_training(learn)
