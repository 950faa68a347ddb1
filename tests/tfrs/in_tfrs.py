"""What tests ask TensorFlow itself, in the guests' environment: python -m tests.tfrs.in_tfrs QUESTION FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from recommender.generators.deep.training import two_tower_tfrs
from recommender.generators.deep.training.examples import Examples
from recommender.generators.deep.training.exchange import load_arrays, save_arrays


def towers(folder: Path) -> None:
    """Of two towers with drawn weights: the vectors of histories, and what is handed over of the same model."""
    given, settings = load_arrays(folder / "given", "given")
    examples, rng = Examples(given, settings), np.random.default_rng(3)
    model = two_tower_tfrs.TwoTowers.of(examples, {**settings, "seed": 3})
    batch = two_tower_tfrs.tensors_of(examples.drawn(np.arange(len(examples.asked)), rng))
    model.compute_loss(batch)  # so that it has weights
    for variable in model.trainable_variables:
        variable.assign(rng.normal(scale=0.5, size=variable.shape).astype(np.float32))
    vectors = model.person(batch["histories"]).numpy()
    found = {**two_tower_tfrs.handed_over(model, examples), "vectors": vectors}
    save_arrays(folder / "learnt", "learnt", found, {})


def loss(folder: Path) -> None:
    """The loss of a batch of six rows of four items, and what it is made of."""
    rng = np.random.default_rng(4)
    n_items = 4
    given = {
        "items": np.array([0, 1, 2, 3, 1, 2, 0, 1], np.int32),
        "offsets": np.array([0, 4, 8]),
        "first": np.array([1, 2, 3, 4, 5, 6, 7, 8]),
        "end": np.array([4, 4, 4, 4, 8, 8, 8, 8]),
        "weights": rng.random(8).astype(np.float32),
        "category_offsets": np.arange(n_items + 1),
        "categories": np.zeros(n_items, np.int32),
        "category_weights": np.ones(n_items, np.float32),
        "facts": rng.normal(size=(n_items, 1)).astype(np.float32),
        "is_touched": np.ones(n_items, bool),
    }
    settings = {"length": 3, "step_weight": 0.9, "id_dropout": 0.0, "n_categories": 1, "dim": 4, "width": 2, "seed": 1}
    examples = Examples(given, settings)
    batch = examples.drawn(np.arange(6), rng)
    model, read = two_tower_tfrs.TwoTowers.of(examples, settings), two_tower_tfrs.tensors_of(batch)
    found = model.compute_loss(read).numpy()
    vectors = model.person(read["histories"]).numpy(), model.item(read["told"]).numpy()
    told = {
        "loss": np.array(found),
        "scores": vectors[0] @ vectors[1].T + model.bias.numpy()[batch.items],
        "items": batch.items,
        "chance": np.exp(batch.log_chance),
        "weights": batch.weights,
    }
    save_arrays(folder / "learnt", "learnt", told, {})


if __name__ == "__main__":
    {"towers": towers, "loss": loss}[sys.argv[1]](Path(sys.argv[2]))
