"""What programs that learn with PyTorch share: the same bytes of the same data, AdamW, and its state as arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from recommender.generators.deep.training.epochs import Epochs, run_epochs
from recommender.generators.deep.training.exchange import Arrays, Checkpoints

LossOf = Callable[[npt.NDArray[np.int64], np.random.Generator], torch.Tensor | None]
SEEDS_AN_EPOCH = 1_000_003  # apart: a prime, so that no two seeds share an epoch's draws


def settle_torch() -> None:
    """Equal input gives equal bytes: one thread, and no operation whose sums hang on chance."""
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)


def train(
    model: torch.nn.Module,
    loss_of: LossOf,
    epochs: Epochs,
    settings: Mapping[str, Any],
    checkpoints: Checkpoints,
) -> None:
    """Lower the loss of batches by AdamW, from the last checkpoint on.

    loss_of: of these rows, None where they teach nothing; what it draws comes from the generator of the epoch, or from
    PyTorch's own, which is seeded at each epoch's start. settings: `learning_rate` and `weight_decay`.
    """
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings["learning_rate"], weight_decay=settings["weight_decay"]
    )
    run_epochs(_TorchLearner(model, optimizer, loss_of, epochs.seed), epochs, checkpoints)
    model.eval()


@dataclass(frozen=True)
class _TorchLearner:
    """What `run_epochs` asks."""

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    loss_of: LossOf
    seed: int

    def begin(self, epoch: int) -> None:
        torch.manual_seed(self.seed * SEEDS_AN_EPOCH + epoch)
        self.model.train()

    def learn(self, rows: npt.NDArray[np.int64], rng: np.random.Generator) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        if (loss := self.loss_of(rows, rng)) is not None:
            loss.backward()
            self.optimizer.step()

    def state(self) -> Arrays:
        arrays = {f"model.{name}": as_array(tensor) for name, tensor in self.model.state_dict().items()}
        for number, of_parameter in self.optimizer.state_dict()["state"].items():
            arrays |= {f"optimizer.{number}.{name}": as_array(value) for name, value in of_parameter.items()}
        return arrays

    def restore(self, state: Arrays) -> None:
        tensors = {name: torch.from_numpy(array) for name, array in state.items()}
        weights = {name.removeprefix("model."): one for name, one in tensors.items() if name.startswith("model.")}
        self.model.load_state_dict(weights)
        of_optimizer: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in tensors.items():
            kind, _, rest = name.partition(".")
            if kind == "optimizer":
                number, _, field = rest.partition(".")
                of_optimizer.setdefault(int(number), {})[field] = tensor
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": of_optimizer})


def as_array(tensor: torch.Tensor) -> npt.NDArray[Any]:
    """A tensor's numbers, wherever it lies, as an array of its own."""
    return np.array(tensor.detach().cpu().numpy())
