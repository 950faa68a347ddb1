"""Trains the encoder of `candidates.sequence` with PyTorch, and hands over its weights.

    python -m recommender.generators.deep.training.sequence_torch FOLDER

Sources: Kang and McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018 (SASRec); Klenitskiy and Vasilev,
"Turning Dross Into Gold Loss: is BERT4Rec really better than SASRec?", RecSys 2023 (cross-entropy over many items).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from recommender.generators.deep.training.epochs import Epochs
from recommender.generators.deep.training.examples import count_for_anything, drawn_targets, log_shares
from recommender.generators.deep.training.exchange import Checkpoints, run_training
from recommender.generators.deep.training.torch_training import as_array, settle_torch, train

PADDING = -1
NORM_EPSILON = 1e-5
FIRST_WEIGHTS = 0.02  # the spread of weights before anything is learnt


class SequenceModel(nn.Module):
    """States of sequences: (n, length) items, the latest last, PADDING before the first -> (n, length, dim).

    The parameters are laid out as the arrays that are handed over: those of all blocks in one.
    """

    def __init__(self, n_items: int, length: int, dim: int, n_blocks: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.n_blocks, self.n_heads, self.dropout = n_blocks, n_heads, dropout
        self.items = _weights(n_items, dim)
        self.bias = _zeros(n_items)
        self.positions = _weights(length, dim)
        self.attention_gain, self.attention_shift = _ones(n_blocks, dim), _zeros(n_blocks, dim)
        self.query_key_value, self.query_key_value_bias = _weights(n_blocks, dim, 3 * dim), _zeros(n_blocks, 3 * dim)
        self.attended, self.attended_bias = _weights(n_blocks, dim, dim), _zeros(n_blocks, dim)
        self.forward_gain, self.forward_shift = _ones(n_blocks, dim), _zeros(n_blocks, dim)
        self.widen, self.widen_bias = _weights(n_blocks, dim, 4 * dim), _zeros(n_blocks, 4 * dim)
        self.narrow, self.narrow_bias = _weights(n_blocks, 4 * dim, dim), _zeros(n_blocks, dim)
        self.last_gain, self.last_shift = _ones(dim), _zeros(dim)

    def forward(self, sequences: torch.Tensor) -> torch.Tensor:
        length, dim = sequences.shape[1], self.items.shape[1]
        is_there = sequences != PADDING
        items = self.items[sequences.clamp(min=0)] * math.sqrt(dim)
        states = self._dropped(items + self.positions[-length:])
        before = torch.ones(length, length, dtype=torch.bool, device=sequences.device).tril()
        itself = torch.eye(length, dtype=torch.bool, device=sequences.device)
        seen = (before & is_there[:, None, :]) | itself
        for block in range(self.n_blocks):
            states = states + self._dropped(self._attention(block, states, seen))
            states = states + self._dropped(self._forward(block, states))
        return _normalised(states, self.last_gain, self.last_shift)

    def _attention(self, block: int, states: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        n, length, dim = states.shape
        normal = _normalised(states, self.attention_gain[block], self.attention_shift[block])
        joined = normal @ self.query_key_value[block]
        parts = (joined + self.query_key_value_bias[block]).view(n, length, 3, self.n_heads, dim // self.n_heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(2, 3) / math.sqrt(dim // self.n_heads)
        weights = scores.masked_fill(~seen[:, None], -torch.inf).softmax(dim=-1)
        mixed = (self._dropped(weights) @ value).transpose(1, 2).reshape(n, length, dim)
        return mixed @ self.attended[block] + self.attended_bias[block]

    def _forward(self, block: int, states: torch.Tensor) -> torch.Tensor:
        normal = _normalised(states, self.forward_gain[block], self.forward_shift[block])
        wide = functional.relu(normal @ self.widen[block] + self.widen_bias[block])
        return wide @ self.narrow[block] + self.narrow_bias[block]

    def _dropped(self, values: torch.Tensor) -> torch.Tensor:
        return functional.dropout(values, self.dropout, self.training)


def _weights(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(*shape) * FIRST_WEIGHTS)


def _zeros(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(*shape))


def _ones(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.ones(*shape))


def _normalised(states: torch.Tensor, gain: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    return functional.layer_norm(states, states.shape[-1:], gain, shift, NORM_EPSILON)


def pieces_of(offsets: npt.NDArray[np.int64], has_target: npt.NDArray[np.bool_], length: int) -> npt.NDArray[np.int64]:
    """(n_pieces, length) places of the items of sequences, the latest last, PADDING before the first of each.

    has_target: whether there is something to tell at a place. A sequence ends where there is for the last time, for the
    latest place of a piece is the one that requests ask at; a longer one becomes several pieces, cut from that end.
    """
    pieces = []
    for first, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        telling = np.flatnonzero(has_target[first:end])
        stop = first + int(telling[-1]) + 1 if len(telling) else first
        while stop > first:
            start = max(first, stop - length)
            pieces.append(np.pad(np.arange(start, stop), (length - (stop - start), 0), constant_values=PADDING))
            stop = start
    found = np.array(pieces, np.int64).reshape(len(pieces), length)
    return np.asarray(found[(has_target[found] & (found != PADDING)).any(axis=1)])


def learn(given: Mapping[str, npt.NDArray[Any]], settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The weights, by name, after training on sequences.

    given: `items` of all sequences, 0 to n_items - 1, and their `offsets`; at each place, what is to be told is one of
    the items at first:end, none where these are equal; `weights`: how much an item counts where it is told.
    """
    settle_torch()
    torch.manual_seed(settings["seed"])
    n_items, length, device = int(settings["n_items"]), int(settings["length"]), settings["device"]
    shape = {name: settings[name] for name in ("length", "dim", "n_blocks", "n_heads", "dropout")}
    model = SequenceModel(n_items, **shape)
    with torch.no_grad():
        model.bias += torch.from_numpy(log_shares(given["items"], given["weights"], n_items))
    model = model.to(device)
    has_target = given["first"] < given["end"]
    pieces = pieces_of(given["offsets"], has_target, length)
    epochs = Epochs.of("sequence", len(pieces), settings)

    def loss_of(rows: npt.NDArray[np.int64], rng: np.random.Generator) -> torch.Tensor | None:
        batch = pieces[rows]
        is_there = batch != PADDING
        is_asked = is_there & has_target[batch]
        told = drawn_targets(batch[is_asked], given["first"], given["end"], rng)
        if not count_for_anything(given["weights"][told]):
            return None
        sequences = np.where(is_there, given["items"][batch], PADDING).astype(np.int64)
        targets = torch.from_numpy(given["items"][told].astype(np.int64)).to(device)
        weights = torch.from_numpy(given["weights"][told]).to(device)
        states = model(torch.from_numpy(sequences).to(device))[torch.from_numpy(is_asked).to(device)]
        losses = _losses(model, states, targets, settings["n_negatives"], rng)
        return (losses * weights).sum() / weights.sum()

    train(model, loss_of, epochs, settings, Checkpoints(folder))
    return {name: as_array(parameter) for name, parameter in model.named_parameters()}


def _losses(
    model: SequenceModel, states: torch.Tensor, targets: torch.Tensor, n_negatives: int, rng: np.random.Generator
) -> torch.Tensor:
    n_items = len(model.items)
    if n_negatives >= n_items:
        return functional.cross_entropy(states @ model.items.T + model.bias, targets, reduction="none")
    negatives = torch.from_numpy(rng.integers(0, n_items, n_negatives)).to(model.items.device)
    return sampled_cross_entropy(states, model.items, model.bias, targets, negatives)


def sampled_cross_entropy(
    states: torch.Tensor, items: torch.Tensor, bias: torch.Tensor, targets: torch.Tensor, negatives: torch.Tensor
) -> torch.Tensor:
    """(n,) the cross-entropy over all items, estimated from negatives that were drawn evenly with replacement.

    Each stands for n_items / n_negatives items; one that is the target stands for none.
    """
    of_target = (states * items[targets]).sum(dim=-1, keepdim=True) + bias[targets, None]
    of_negatives = states @ items[negatives].T + bias[negatives] + math.log(len(items) / len(negatives))
    of_negatives = of_negatives.masked_fill(negatives[None, :] == targets[:, None], -torch.inf)
    scores = torch.cat([of_target, of_negatives], dim=1)
    first = torch.zeros(len(scores), dtype=torch.int64, device=scores.device)
    return functional.cross_entropy(scores, first, reduction="none")


if __name__ == "__main__":
    run_training(learn)
