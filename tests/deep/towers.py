"""What tests of both engines of `two_tower` share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from recommender.generators.deep.training.exchange import save_arrays
from recommender.generators.deep.two_tower import PersonTower, TwoTowerGenerator


def bytes_of(generator: TwoTowerGenerator) -> list[bytes]:
    """Of everything that was learnt."""
    tower = generator.tower
    arrays = (generator.item_vectors, tower.spoken, tower.widen_bias, tower.narrow, tower.narrow_bias)
    return [array.tobytes() for array in arrays]


def check_numpy_computes_what_the_guest_computes(asked: Callable[[Path], dict[str, Any]], folder: Path) -> None:
    """Five items: of no category, of two, and one that nobody had touched; histories of one and of two.

    asked: what the guest answers of a model with drawn weights, of what lies in the folder: what is handed over, and
    `vectors` of the three histories.
    """
    rng, length, step_weight = np.random.default_rng(2), 2, 0.7
    given = {
        "items": np.array([3, 0, 1, 2], np.int32),
        "offsets": np.array([0, 4]),
        "first": np.array([1, 2, 3, 4]),
        "end": np.array([4, 4, 4, 4]),
        "weights": np.ones(4, np.float32),
        "category_offsets": np.array([0, 0, 2, 3, 4, 6]),
        "categories": np.array([0, 2, 1, 2, 0, 1], np.int32),
        "category_weights": rng.random(6).astype(np.float32),
        "facts": rng.normal(size=(5, 3)).astype(np.float32),
        "is_touched": np.array([True, True, True, True, False]),
    }
    sizes = {"n_categories": 3, "dim": 4, "width": 6}
    settings = {"length": length, "step_weight": step_weight, "id_dropout": 0.0, **sizes}
    save_arrays(folder / "given", "given", given, settings)
    found = asked(folder)
    names = ("spoken", "widen_bias", "narrow", "narrow_bias")
    tower = PersonTower(**{name: found[name] for name in names}, length=length, step_weight=step_weight)
    for row, read in enumerate(([3], [3, 0], [0, 1])):
        np.testing.assert_allclose(tower.vector_of(np.array(read)), found["vectors"][row], rtol=1e-4, atol=1e-5)
    assert found["item_vectors"].shape == (5, 4 + 1)
    assert tower.spoken.shape == (5, 4 + 6)
    # The id of what nobody had touched tells nothing; what else is known of it does.
    assert not tower.spoken[4, :4].any()
    assert tower.spoken[4, 4:].any()
