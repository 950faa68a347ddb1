"""What tests of both engines of `two_tower` share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from recommender.generators.deep.training.exchange import save_arrays
from recommender.generators.deep.two_tower import PersonTower, TwoTowerGenerator
from tests.deep.small_training import SMALL_GIVEN, SMALL_SETTINGS


def bytes_of(generator: TwoTowerGenerator) -> list[bytes]:
    """Of everything that was learnt."""
    tower = generator.tower
    arrays = (generator.item_vectors, tower.spoken, tower.widen_bias, tower.narrow, tower.narrow_bias)
    return [array.tobytes() for array in arrays]


def check_numpy_computes_what_the_guest_computes(asked: Callable[[Path], dict[str, Any]], folder: Path) -> None:
    """asked: of what lies in the folder, what the guest answers of a model with drawn weights: what is handed over, and
    the `vectors` of the three histories.
    """
    save_arrays(folder / "given", "given", SMALL_GIVEN, SMALL_SETTINGS)
    found = asked(folder)
    names = ("spoken", "widen_bias", "narrow", "narrow_bias")
    read_so = {name: SMALL_SETTINGS[name] for name in ("length", "step_weight")}
    tower = PersonTower(**{name: found[name] for name in names}, **read_so)
    for row, read in enumerate(([3], [3, 0], [0, 1])):
        np.testing.assert_allclose(tower.vector_of(np.array(read)), found["vectors"][row], rtol=1e-4, atol=1e-5)
    assert found["item_vectors"].shape == (5, 4 + 1)
    assert tower.spoken.shape == (5, 4 + 6)
    # The id of what nobody had touched tells nothing; what else is known of it does.
    assert not tower.spoken[4, :4].any()
    assert tower.spoken[4, 4:].any()
