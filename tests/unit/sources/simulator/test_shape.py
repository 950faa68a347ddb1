"""A simulated world looks like the real ones that the documents cite."""

import numpy as np
import pytest

from bench.simulated_shape import _gini, _share_of_top, outside, shape_of
from sources.simulator.world import World
from sources.simulator.world_spec import WorldKind


@pytest.mark.parametrize("kind", list(WorldKind))
def test_every_figure_lies_in_its_band(kind):
    world = World.create(kind, n_users=20_000, n_items=2_000, n_days=30, seed=7)
    assert outside(kind, shape_of(world.days(), n_items=2_000)) == []


def test_skew_is_told_by_the_share_of_the_top_and_by_gini():
    counts = np.array([0.0, 1, 1, 2, 16])
    assert _share_of_top(counts, 0.2) == 16 / 20
    assert _gini(np.ones(5)) == pytest.approx(0)
    assert _gini(np.array([0.0, 0, 0, 0, 1])) == pytest.approx(4 / 5)
