"""Random streams by counter: every part of a world has its own, so that the order of drawing does not matter."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What a stream is for. The numbers are part of what makes a world: a new purpose takes a new number."""

    ITEMS = 1
    TEXTS = 2
    TOPICS = 3
    PEOPLE = 4
    JOURNEYS = 5
    POLICY = 6
    REACTIONS = 7


def stream(seed: int, purpose: Stream, block: int = 0, day: int = 0) -> np.random.Generator:
    """The stream of one purpose, for one block of people on one day."""
    # Philox counts up in the low words; streams differ in the key or in the high ones, so that none reaches another.
    return np.random.Generator(np.random.Philox(key=[seed, purpose], counter=[0, 0, block, day]))
