"""Exploration: now and then a position shows something else, with a chance that is known and logged."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# The first positions are never drawn: they carry most of what a slate is worth.
HEAD_SHARE = 0.5

Positions = npt.NDArray[np.intp]


def explore(
    order: Positions, k: int, share: float, rng: np.random.Generator
) -> tuple[Positions, npt.NDArray[np.float64]]:
    """A slate of k, whose tail is now and then drawn at random, and the chance that each item stood where it stands.

    order: the ranked candidates, best first. The first half of the slate is order's own, with propensity 1. Each later
    position is filled in turn: with chance 1 - share by the best candidate left, else by one drawn evenly from all m
    that are left. The propensity of an item at its position, given the positions before it, is therefore
    (1 - share) + share / m for the best one left, and share / m for any other.
    Returns (chosen, propensities), both (min(k, len(order)),).
    """
    n_shown = min(k, len(order))
    n_head = n_shown if share == 0 else int(np.ceil(n_shown * HEAD_SHARE))
    left = list(order)
    chosen, propensities = left[:n_head], [1.0] * n_head
    del left[:n_head]
    for _ in range(n_shown - n_head):
        drawn = int(rng.integers(len(left))) if rng.random() < share else 0
        propensities.append(share / len(left) + (1 - share if drawn == 0 else 0.0))
        chosen.append(left.pop(drawn))
    return np.array(chosen, np.intp), np.array(propensities, np.float64)
