"""Trains the towers of `candidates.two_tower` with TensorFlow Recommenders, and hands over what the other engine does.

    python -m recommender.generators.deep.training.two_tower_tfrs FOLDER

Its task `Retrieval` holds each against what is told to the others of a batch, and corrects by log Q as published by Yi
et al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations", RecSys 2019: what is told is
corrected, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_recommenders as tfrs

from recommender.generators.deep.training.epochs import Epochs, run_epochs
from recommender.generators.deep.training.examples import (
    FIRST_VECTORS,
    Bags,
    Batch,
    Examples,
    count_for_anything,
    log_shares,
    table_seed,
)
from recommender.generators.deep.training.exchange import Arrays, Checkpoints, run_training
from recommender.ragged import rows_of

OF_BAGS: Final = {
    "items": tf.TensorSpec((None,), tf.int64),
    "item_weights": tf.TensorSpec((None,), tf.float32),
    "item_rows": tf.TensorSpec((None,), tf.int64),
    "categories": tf.TensorSpec((None,), tf.int64),
    "category_weights": tf.TensorSpec((None,), tf.float32),
    "category_rows": tf.TensorSpec((None,), tf.int64),
}


class Tower(tf.keras.layers.Layer):
    """Bags -> vectors (n, dim): the sum of the items' own, and what a hidden layer makes of all that is known.

    first: the number of its first table among those of the model.
    """

    def __init__(
        self, n_items: int, n_categories: int, n_facts: int, dim: int, width: int, seed: int, first: int
    ) -> None:
        super().__init__()
        n_known = 2 * dim + n_facts
        self.items = tf.keras.layers.Embedding(n_items, dim, _normal(FIRST_VECTORS, table_seed(seed, first)))
        of_categories = _normal(FIRST_VECTORS, table_seed(seed, first + 1))
        self.categories = tf.keras.layers.Embedding(max(n_categories, 1), dim, of_categories)
        widening = _normal(n_known**-0.5, table_seed(seed, first + 2))
        self.widen = tf.keras.layers.Dense(width, use_bias=False, kernel_initializer=widening)
        self.widen_bias = self.add_weight("widen_bias", (width,), initializer="zeros")
        self.narrow = tf.keras.layers.Dense(dim, kernel_initializer="zeros")

    def parts(self, bags: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """(n, dim), (n, width) what is linear in the bags: of a bag of many it is the sum of those of each."""
        own = _pooled(self.items, bags["items"], bags["item_weights"], bags["item_rows"], bags["facts"])
        of_categories = _pooled(
            self.categories, bags["categories"], bags["category_weights"], bags["category_rows"], bags["facts"]
        )
        return own, self.widen(tf.concat([own, of_categories, bags["facts"]], axis=1))

    def call(self, bags: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """The vector of each row."""
        own, wide = self.parts(bags)
        return own + self.narrow(tf.nn.relu(wide + self.widen_bias))


def _normal(spread: float, seed: int) -> tf.keras.initializers.Initializer:
    return tf.keras.initializers.RandomNormal(stddev=spread, seed=seed)


def _pooled(
    table: tf.keras.layers.Layer, ids: tf.Tensor, weights: tf.Tensor, rows: tf.Tensor, facts: tf.Tensor
) -> tf.Tensor:
    """(n, dim) the weighted sum of each row's vectors; facts: (n, n_facts), for their number."""
    return tf.math.unsorted_segment_sum(table(ids) * weights[:, None], rows, tf.shape(facts)[0])


class TwoTowers(tfrs.Model):
    """One tower for people and one for items; bias: (n_items,) what speaks for an item whoever asks."""

    def __init__(self, sizes: Mapping[str, int], seed: int, bias: npt.NDArray[np.float32]) -> None:
        super().__init__()
        self.person = Tower(**sizes, seed=seed, first=0)
        self.item = Tower(**sizes, seed=seed, first=100)
        self.bias = self.add_weight("bias", bias.shape, initializer=tf.constant_initializer(bias))
        self.task = tfrs.tasks.Retrieval(remove_accidental_hits=True)

    @classmethod
    def of(cls, examples: Examples, settings: Mapping[str, Any]) -> TwoTowers:
        """Before anything is learnt."""
        n_items, n_facts = examples.traits.facts.shape
        sizes = {name: int(settings[name]) for name in ("n_categories", "dim", "width")}
        bias = log_shares(examples.given["items"], examples.given["weights"], n_items)
        return cls({"n_items": n_items, "n_facts": n_facts, **sizes}, int(settings["seed"]), bias)

    def compute_loss(self, inputs: Mapping[str, Any], training: bool = False) -> tf.Tensor:  # noqa: ARG002 - TFRS' own
        """Of what `tensors_of` makes of a batch."""
        people, items = self.person(inputs["histories"]), self.item(inputs["told"])
        biases = tf.gather(self.bias, inputs["items"])
        return self.task(
            tf.concat([people, tf.ones_like(biases)[:, None]], axis=1),
            tf.concat([items, biases[:, None]], axis=1),
            sample_weight=inputs["weights"],
            candidate_sampling_probability=inputs["chance"],
            candidate_ids=inputs["items"],
            compute_metrics=False,
        )


def tensors_of(batch: Batch) -> dict[str, Any]:
    """A batch as the model reads it; the weights of its rows add up to 1."""
    return {
        "histories": tensors_of_bags(batch.histories),
        "told": tensors_of_bags(batch.told),
        "items": tf.constant(batch.items),
        "weights": tf.constant(batch.weights / batch.weights.sum()),
        "chance": tf.constant(np.exp(batch.log_chance)),
    }


def tensors_of_bags(bags: Bags) -> dict[str, tf.Tensor]:
    """Bags as a tower reads them."""
    return {
        "items": tf.constant(bags.items),
        "item_weights": tf.constant(bags.item_weights),
        "item_rows": tf.constant(rows_of(bags.item_offsets)),
        "categories": tf.constant(bags.categories),
        "category_weights": tf.constant(bags.category_weights),
        "category_rows": tf.constant(rows_of(bags.category_offsets)),
        "facts": tf.constant(bags.facts),
    }


class _Learner:
    """What `run_epochs` asks: batches by AdamW of Keras, and its state as arrays."""

    def __init__(self, model: TwoTowers, examples: Examples, settings: Mapping[str, Any]) -> None:
        self.examples = examples
        model.compile(
            optimizer=tf.keras.optimizers.AdamW(settings["learning_rate"], weight_decay=settings["weight_decay"])
        )
        n_facts = examples.traits.facts.shape[1]
        bags = OF_BAGS | {"facts": tf.TensorSpec((None, n_facts), tf.float32)}
        numbers = tf.TensorSpec((None,), tf.float32)
        read = {
            "histories": bags,
            "told": bags,
            "items": tf.TensorSpec((None,), tf.int64),
            "weights": numbers,
            "chance": numbers,
        }
        # One graph for batches of all lengths.
        self.step = tf.function(model.train_step, input_signature=[read])
        for tower in (model.person, model.item):
            tower(tensors_of_bags(examples.traits.each()))  # so that it has weights
        model.optimizer.build(model.trainable_variables)
        self.variables = [*model.trainable_variables, *model.optimizer.variables]

    def begin(self, epoch: int) -> None:
        """Nothing is drawn by TensorFlow itself."""

    def learn(self, rows: npt.NDArray[np.int64], rng: np.random.Generator) -> None:
        batch = self.examples.drawn(rows, rng)
        if count_for_anything(batch.weights):
            self.step(tensors_of(batch))

    def state(self) -> Arrays:
        return {str(number): variable.numpy() for number, variable in enumerate(self.variables)}

    def restore(self, state: Arrays) -> None:
        for number, variable in enumerate(self.variables):
            variable.assign(state[str(number)])


def learn(given: Arrays, settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The vectors of items and the forward pass for a person: see `two_tower.py`."""
    tf.config.experimental.enable_op_determinism()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    examples = Examples(given, settings)
    model = TwoTowers.of(examples, settings)
    epochs = Epochs.of("two_tower", len(examples.asked), settings)
    run_epochs(_Learner(model, examples, settings), epochs, Checkpoints(folder))
    return handed_over(model, examples)


def handed_over(model: TwoTowers, examples: Examples) -> dict[str, Any]:
    """What NumPy goes on with."""
    every, person = tensors_of_bags(examples.traits.each()), model.person
    arrays = {
        "item_vectors": tf.concat([model.item(every), model.bias[:, None]], axis=1),
        "spoken": tf.concat(person.parts(every), axis=1),
        "widen_bias": person.widen_bias,
        "narrow": person.narrow.kernel,
        "narrow_bias": person.narrow.bias,
    }
    return {name: np.array(array.numpy()) for name, array in arrays.items()}


if __name__ == "__main__":
    run_training(learn)
