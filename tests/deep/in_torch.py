"""What tests ask PyTorch itself, in the guests' environment: python -m tests.deep.in_torch QUESTION FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from recommender.generators.deep.training import sequence_torch
from recommender.generators.deep.training.exchange import Checkpoints, load_arrays, save_arrays
from recommender.generators.deep.training.torch_training import Epochs, as_array, settle_torch, train


def states(folder: Path) -> None:
    """The last state of each sequence, by the model of training, with the weights that it is given."""
    arrays, settings = load_arrays(folder / "given", "given")
    sequences = arrays.pop("sequences")
    model = sequence_torch.SequenceModel(len(arrays["items"]), **settings)
    model.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()})
    model.eval()
    with torch.no_grad():
        found = model(torch.from_numpy(np.array(sequences)))[:, -1]
    save_arrays(folder / "learnt", "learnt", {"states": as_array(found)}, {})


def sampled_loss(folder: Path) -> None:
    """The full cross-entropy of some states, and what it is by negatives that are drawn, over and over."""
    rng = np.random.default_rng(5)
    items, states = (torch.from_numpy(rng.normal(size=(n, 4))) for n in (40, 6))
    bias, targets = torch.from_numpy(rng.normal(size=40)), torch.arange(6)
    full = torch.nn.functional.cross_entropy(states @ items.T + bias, targets, reduction="none")
    draws = [torch.from_numpy(rng.integers(0, 40, 4000)) for _ in range(20)]
    sampled = [sequence_torch.sampled_cross_entropy(states, items, bias, targets, negatives) for negatives in draws]
    found = {"full": as_array(full), "sampled": as_array(torch.stack(sampled).mean(dim=0))}
    save_arrays(folder / "learnt", "learnt", found, {})


def epochs(folder: Path) -> None:
    """Six epochs at once, and three and then six with the same checkpoints: weights, and how many epochs were run."""
    settle_torch()

    def after(n_epochs: int, checkpoints: Path) -> tuple[torch.nn.Module, int]:
        torch.manual_seed(1)
        model, n_losses = torch.nn.Linear(3, 1), 0
        rows = torch.from_numpy(np.random.default_rng(2).normal(size=(20, 3)).astype(np.float32))

        def loss_of(chosen: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
            nonlocal n_losses
            n_losses += 1
            noise = float(rng.random())
            dropped = torch.nn.functional.dropout(rows[torch.from_numpy(chosen)], 0.3)
            return (model(dropped) - noise).square().mean()

        plan = Epochs("test", n_epochs, n_rows=20, batch_size=8, learning_rate=0.1, weight_decay=0.0, seed=3)
        train(model, loss_of, plan, Checkpoints(checkpoints))
        return model, n_losses // 3

    whole, n_whole = after(6, folder / "whole")
    _, n_first = after(3, folder / "resumed")
    resumed, n_rest = after(6, folder / "resumed")
    found = {"whole": as_array(whole.weight), "resumed": as_array(resumed.weight)}
    save_arrays(folder / "learnt", "learnt", {**found, "n_epochs": np.array([n_whole, n_first, n_rest])}, {})


if __name__ == "__main__":
    {"states": states, "sampled_loss": sampled_loss, "epochs": epochs}[sys.argv[1]](Path(sys.argv[2]))
