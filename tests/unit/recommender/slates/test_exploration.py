from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.slates.exploration import explore

ORDER = np.array([40, 41, 42, 43, 44, 45], np.intp)


def test_without_exploration_the_order_stands_and_every_chance_is_one():
    chosen, propensities = explore(ORDER, 4, 0.0, np.random.default_rng(0))
    assert chosen.tolist() == [40, 41, 42, 43]
    assert propensities.tolist() == [1, 1, 1, 1]


def test_the_first_half_of_the_slate_is_never_drawn():
    for seed in range(30):
        chosen, propensities = explore(ORDER, 5, 0.9, np.random.default_rng(seed))
        assert chosen[:3].tolist() == [40, 41, 42]
        assert propensities[:3].tolist() == [1, 1, 1]


def test_propensities_are_the_chances_with_which_items_are_seen_there():
    """Simulated: given what stands before it, how often each item stands at a position, against what was said."""
    share, n_draws = 0.4, 40_000
    rng = np.random.default_rng(3)
    seen: Counter[tuple[int, ...]] = Counter()
    said: dict[tuple[int, ...], float] = {}
    for _ in range(n_draws):
        chosen, propensities = explore(ORDER, 4, share, rng)
        for position in range(1, 5):
            seen[tuple(chosen[:position].tolist())] += 1
            said[tuple(chosen[:position].tolist())] = float(propensities[position - 1])
    for slate, propensity in said.items():
        n_before = seen[slate[:-1]] if len(slate) > 1 else n_draws
        # Four standard errors of a share seen n_before times: one test in some thousands would fail by chance.
        tolerance = 4 * (propensity * (1 - propensity) / n_before) ** 0.5 + 1e-9
        assert seen[slate] / n_before == pytest.approx(propensity, abs=tolerance)


def test_the_chances_of_all_that_might_stand_at_a_position_sum_to_one():
    share, n_left = 0.4, 4  # position 3 of a slate of 4: two of six are placed
    best, other = (1 - share) + share / n_left, share / n_left
    assert best + (n_left - 1) * other == pytest.approx(1)
    said = {round(float(explore(ORDER, 4, share, np.random.default_rng(seed))[1][2]), 9) for seed in range(60)}
    assert said == {round(best, 9), round(other, 9)}


@given(st.integers(0, 12), st.integers(0, 15), st.floats(0, 0.99), st.integers(0, 999))
def test_a_slate_holds_different_candidates_with_chances_above_nothing(n_candidates, k, share, seed):
    chosen, propensities = explore(np.arange(n_candidates), k, share, np.random.default_rng(seed))
    assert len(chosen) == len(propensities) == len(set(chosen.tolist())) == min(k, n_candidates)
    assert np.all((propensities > 0) & (propensities <= 1 + 1e-12))


def test_the_same_draws_give_the_same_slate():
    first, second = (explore(ORDER, 6, 0.5, np.random.default_rng(9))[0].tolist() for _ in range(2))
    assert first == second
