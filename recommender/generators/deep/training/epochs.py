"""Epochs that come out the same, to the byte, whether or not the process was killed in between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from contracts.progress import Progress
from recommender.generators.deep.training.exchange import Arrays, Checkpoints


@dataclass(frozen=True)
class Epochs:
    """How often, and in which portions, is learnt from. n_rows: examples, of which a batch holds batch_size."""

    name: str
    n_epochs: int
    n_rows: int
    batch_size: int
    seed: int

    @classmethod
    def of(cls, name: str, n_rows: int, settings: Mapping[str, Any]) -> Epochs:
        """As the settings of a deep generator say."""
        n_epochs, batch_size, seed = (int(settings[name]) for name in ("n_epochs", "batch_size", "seed"))
        return cls(f"training {name}", n_epochs, n_rows, batch_size, seed)


class Learner(Protocol):
    """A model of some library, and what it needs to go on."""

    def begin(self, epoch: int) -> None:
        """Before the first batch of an epoch; what the library draws itself in it follows from its number."""
        ...

    def learn(self, rows: npt.NDArray[np.int64], rng: np.random.Generator) -> None:
        """From a batch; what is drawn comes from the generator of the epoch, or from the library's own."""
        ...

    def state(self) -> Arrays:
        """All that the next epoch goes on from."""
        ...

    def restore(self, state: Arrays) -> None:
        """Go on from what `state` gave."""
        ...


def run_epochs(learner: Learner, epochs: Epochs, checkpoints: Checkpoints) -> None:
    """All epochs, from the last checkpoint on."""
    n_done, state = checkpoints.load_last()
    if n_done:
        learner.restore(state)
    n_batches = -(-epochs.n_rows // epochs.batch_size)
    progress = Progress(total=epochs.n_epochs * n_batches, initial=n_done * n_batches, desc=epochs.name, unit="batch")
    with progress:
        for epoch in range(n_done, epochs.n_epochs):
            rng = np.random.default_rng([epochs.seed, epoch])
            learner.begin(epoch)
            order = rng.permutation(epochs.n_rows)
            for start in range(0, epochs.n_rows, epochs.batch_size):
                learner.learn(order[start : start + epochs.batch_size], rng)
                progress.update()
            checkpoints.save(epoch + 1, learner.state())
