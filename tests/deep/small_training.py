"""What a training of two towers is handed, small enough to be read; guests and our tests import it."""

from __future__ import annotations

import numpy as np

# Five items: of no category, of two, and one that nobody had touched; histories of one and of two.
SMALL_GIVEN = {
    "items": np.array([3, 0, 1, 2], np.int32),
    "offsets": np.array([0, 4]),
    "first": np.array([1, 2, 3, 4]),
    "end": np.array([4, 4, 4, 4]),
    "weights": np.ones(4, np.float32),
    "category_offsets": np.array([0, 0, 2, 3, 4, 6]),
    "categories": np.array([0, 2, 1, 2, 0, 1], np.int32),
    "category_weights": np.array([0.6, 0.8, 1, 1, 0.3, 0.9], np.float32),
    "facts": np.array([[1, 0, 0], [0, -1, 0.5], [2, 1, 1], [0, 0, 0.1], [-1, 1, 0]], np.float32),
    "is_touched": np.array([True, True, True, True, False]),
}
SMALL_SETTINGS = {"length": 2, "step_weight": 0.7, "id_dropout": 0.0, "n_categories": 3, "dim": 4, "width": 6}
