"""What a slate is worth by the scores alone, and how much of that another order may lose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from contracts.ids import FloatArray

Relevance = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

N_HALVINGS: Final = 6  # of the strength: it is found to a sixty-fourth of what was wished for


@dataclass(frozen=True)
class Choice:
    """What is shown, as places among the candidates; with which strength it was chosen, and what relevance it lost."""

    places: Places
    strength: float
    loss: float


def scaled_relevance(scores: FloatArray) -> Relevance:
    """(n,) the scores, higher is better, from 0 for the worst to 1 for the best; 0 for all where they are equal."""
    if not len(scores):
        return np.empty(0, np.float64)
    spread = float(scores.max() - scores.min())
    return np.asarray((scores.astype(np.float64) - scores.min()) / (spread or 1.0))


def relevance_loss(relevance: Relevance, places: Places) -> float:
    """The share of the discounted relevance that a slate lacks beside the order of the scores, 0 to 1.

    relevance: (n,) of `scaled_relevance`, descending; places: the slate's, in its order. A position counts
    1 / log2(position + 1), as in NDCG. 0 where no candidate is more relevant than another.

    >>> relevance = np.array([1.0, 0.5, 0.0])
    >>> relevance_loss(relevance, np.array([0, 1])), round(relevance_loss(relevance, np.array([0, 2])), 3)
    (0.0, 0.24)
    """
    discount = 1 / np.log2(np.arange(len(places)) + 2)
    best = float((relevance[: len(places)] * discount).sum())
    return max(0.0, 1 - float((relevance[places] * discount).sum()) / best) if best else 0.0


def within_loss(
    choose: Callable[[float], Places], relevance: Relevance, k: int, strength: float, max_loss: float
) -> Choice:
    """What is chosen with the strength wished for, or with less of it where that loses more than max_loss.

    choose: the slate of a strength. The strength is halved in on: the slate returned was measured, and is within the
    loss whether or not the loss grows evenly; at the worst it is the order of the scores, which loses nothing.
    """
    places = choose(strength)
    loss = relevance_loss(relevance, places)
    if loss <= max_loss:
        return Choice(places, strength, loss)
    kept, too_strong = Choice(np.arange(min(k, len(relevance))), 0.0, 0.0), strength
    for _ in range(N_HALVINGS):
        tried = (kept.strength + too_strong) / 2
        places = choose(tried)
        loss = relevance_loss(relevance, places)
        if loss <= max_loss:
            kept = Choice(places, tried, loss)
        else:
            too_strong = tried
    return kept
