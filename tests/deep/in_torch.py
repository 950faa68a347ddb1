"""What tests ask PyTorch itself, in the guests' environment: python -m tests.deep.in_torch QUESTION FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from recommender.generators.deep.training import sequence_torch, two_tower_torch
from recommender.generators.deep.training.epochs import Epochs
from recommender.generators.deep.training.examples import Examples
from recommender.generators.deep.training.exchange import Checkpoints, load_arrays, save_arrays
from recommender.generators.deep.training.torch_training import as_array, settle_torch, train


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


def towers(folder: Path) -> None:
    """Of two towers with drawn weights: the vectors of histories, and what is handed over of the same model."""
    given, settings = load_arrays(folder / "given", "given")
    torch.manual_seed(3)
    examples, (n_items, n_facts) = Examples(given, settings), given["facts"].shape
    sizes = {name: settings[name] for name in ("n_categories", "dim", "width")}
    model = two_tower_torch.TwoTowers(n_items, n_facts=n_facts, **sizes)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.5)
        vectors = model.person(examples.drawn(np.arange(len(examples.asked)), np.random.default_rng(1)).histories)
        found = two_tower_torch.handed_over(model, examples)
    save_arrays(folder / "learnt", "learnt", {**found, "vectors": as_array(vectors)}, {})


def in_batch_loss(folder: Path) -> None:
    """The full cross-entropy of each item by some scores, and what it is by batches that are drawn, over and over."""
    rng = np.random.default_rng(5)
    scores = torch.from_numpy(rng.normal(size=40))
    log_chance = torch.from_numpy(rng.normal(scale=0.5, size=40)).log_softmax(dim=0)
    sums, n_times = np.zeros(40), np.zeros(40)
    for _ in range(40):
        items = rng.choice(40, 1000, p=log_chance.exp().numpy())
        same = torch.from_numpy((items[:, None] == items) & ~np.eye(1000, dtype=bool))
        losses = two_tower_torch.in_batch_losses(scores[items].expand(1000, 1000), log_chance[items], same)
        sums, n_times = sums + np.bincount(items, as_array(losses), 40), n_times + np.bincount(items, minlength=40)
    found = {"full": as_array(scores.logsumexp(dim=0) - scores), "in_batches": sums / n_times}
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

        plan = Epochs("test", n_epochs, n_rows=20, batch_size=8, seed=3)
        train(model, loss_of, plan, {"learning_rate": 0.1, "weight_decay": 0.0}, Checkpoints(checkpoints))
        return model, n_losses // 3

    whole, n_whole = after(6, folder / "whole")
    _, n_first = after(3, folder / "resumed")
    resumed, n_rest = after(6, folder / "resumed")
    found = {"whole": as_array(whole.weight), "resumed": as_array(resumed.weight)}
    save_arrays(folder / "learnt", "learnt", {**found, "n_epochs": np.array([n_whole, n_first, n_rest])}, {})


QUESTIONS = {
    "states": states,
    "sampled_loss": sampled_loss,
    "epochs": epochs,
    "towers": towers,
    "in_batch_loss": in_batch_loss,
}

if __name__ == "__main__":
    QUESTIONS[sys.argv[1]](Path(sys.argv[2]))
