"""Epochs of PyTorch that come out the same, to the byte, whether or not the process was killed in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from contracts.progress import Progress
from recommender.generators.deep.training.exchange import Checkpoints

SEEDS_AN_EPOCH = 1_000_003  # apart: a prime, so that no two seeds share an epoch's draws


@dataclass(frozen=True)
class Epochs:
    """How long, how fast and in which portions is learnt. n_rows: examples, of which a batch holds batch_size."""

    name: str
    n_epochs: int
    n_rows: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    seed: int


def settle_torch() -> None:
    """Equal input gives equal bytes: one thread, and no operation whose sums hang on chance."""
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)


def train(
    model: torch.nn.Module,
    loss_of: Callable[[npt.NDArray[np.int64], np.random.Generator], torch.Tensor],
    epochs: Epochs,
    checkpoints: Checkpoints,
) -> None:
    """Lower the loss of batches by AdamW, from the last checkpoint on.

    loss_of: of these rows; what it draws comes from the generator of the epoch, or from PyTorch's own, which is seeded
    at each epoch's start.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=epochs.learning_rate, weight_decay=epochs.weight_decay)
    n_done, state = checkpoints.load_last()
    if n_done:
        _restore(model, optimizer, state)
    n_batches = -(-epochs.n_rows // epochs.batch_size)
    progress = Progress(total=epochs.n_epochs * n_batches, initial=n_done * n_batches, desc=epochs.name, unit="batch")
    with progress:
        for epoch in range(n_done, epochs.n_epochs):
            rng = np.random.default_rng([epochs.seed, epoch])
            torch.manual_seed(epochs.seed * SEEDS_AN_EPOCH + epoch)
            order = rng.permutation(epochs.n_rows)
            model.train()
            for start in range(0, epochs.n_rows, epochs.batch_size):
                optimizer.zero_grad(set_to_none=True)
                loss_of(order[start : start + epochs.batch_size], rng).backward()
                optimizer.step()
                progress.update()
            checkpoints.save(epoch + 1, _state_of(model, optimizer))
    model.eval()


def _state_of(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, npt.NDArray[Any]]:
    arrays = {f"model.{name}": as_array(tensor) for name, tensor in model.state_dict().items()}
    for number, of_parameter in optimizer.state_dict()["state"].items():
        arrays |= {f"optimizer.{number}.{name}": as_array(value) for name, value in of_parameter.items()}
    return arrays


def _restore(model: torch.nn.Module, optimizer: torch.optim.Optimizer, state: Mapping[str, npt.NDArray[Any]]) -> None:
    tensors = {name: torch.from_numpy(array) for name, array in state.items()}
    model.load_state_dict({name.removeprefix("model."): one for name, one in tensors.items() if name[0] == "m"})
    of_optimizer: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "optimizer":
            number, _, field = rest.partition(".")
            of_optimizer.setdefault(int(number), {})[field] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": of_optimizer})


def as_array(tensor: torch.Tensor) -> npt.NDArray[Any]:
    """A tensor's numbers, wherever it lies, as an array of its own."""
    return np.array(tensor.detach().cpu().numpy())
