from __future__ import annotations

from collections.abc import Callable
from math import inf, log

import numpy as np
import pytest
import pyversity
from hypothesis import given
from hypothesis import strategies as st

from recommender.judging.shown import SMOOTHING
from recommender.ragged import offsets_of
from recommender.slates.diversity import maximal_marginal_relevance
from recommender.slates.greedy_choice import (
    OWN_SHARE,
    by_calibration,
    by_determinant,
    by_marginal_relevance,
    likeness_of,
)

# Two comedies, of which the second is nearly as good, and two dramas that are less so.
RELEVANCE = np.array([1.0, 0.9, 0.5, 0.0])
VECTORS = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)


def random_candidates(seed: int, n: int, dim: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """(vectors of unit length, relevance from 1 down to 0), no two alike."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, dim))
    relevance = -np.sort(-rng.random(n))
    if n > 1:
        relevance = (relevance - relevance[-1]) / (relevance[0] - relevance[-1])
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), relevance


def greedy(gain: Callable[[list[int], int], float], n: int, k: int) -> list[int]:
    """The oracle: each next one gains most, beside those chosen before."""
    chosen: list[int] = []
    for _ in range(min(k, n)):
        gains = {item: gain(chosen, item) for item in range(n) if item not in chosen}
        chosen.append(max(gains, key=lambda item: gains[item]))
    return chosen


def test_likeness_is_the_cosine_of_every_pair() -> None:
    vectors, _ = random_candidates(3, 9)
    exact = vectors.astype(np.float64)
    assert np.allclose(likeness_of(vectors), exact @ exact.T, atol=1e-12)


def test_likeness_of_a_pair_does_not_hang_on_who_else_is_there() -> None:
    vectors, _ = random_candidates(3, 40, dim=64)
    assert (likeness_of(vectors)[:7, :7] == likeness_of(vectors[:7])).all()


def test_marginal_relevance_puts_the_unlike_item_second() -> None:
    # With strength 0.5: the second comedy gains 0.5 * 0.9 - 0.5 * 1 = -0.05, the drama 0.5 * 0.5 - 0.5 * 0 = 0.25.
    assert by_marginal_relevance(likeness_of(VECTORS), RELEVANCE, 3, 0.5).tolist() == [0, 2, 1]


def test_a_determinant_shuns_what_is_spanned_already() -> None:
    # With strength 0.2: of the second comedy 1 - 0.99 ** 2 = 0.0199 is left, 0.8 * 0.9 + 0.2 * log(0.0199) = -0.06;
    # of the drama everything, 0.8 * 0.5 + 0.2 * log(1) = 0.4.
    assert by_determinant(likeness_of(VECTORS), RELEVANCE, 3, 0.2).tolist() == [0, 2, 1]


def test_a_calibrated_slate_has_the_shares_of_the_history() -> None:
    for wanted, expected in (([0.5, 0.5], 2), ([0.25, 0.75], 3), ([1.0, 0.0], 0)):
        offsets, categories = offsets_of([1] * 8), np.array([0] * 4 + [1] * 4, np.int32)
        items, relevance = np.arange(8, dtype=np.int32), np.linspace(1, 0, 8)
        chosen = by_calibration(offsets, categories, items, np.array(wanted), relevance, 4, 0.99)
        assert int((categories[chosen] == 1).sum()) == expected


@pytest.mark.parametrize("method", [by_marginal_relevance, by_determinant])
@given(seed=st.integers(0, 10_000), n=st.integers(0, 25), k=st.integers(0, 30))
def test_without_strength_the_order_stays(method, seed, n, k) -> None:
    vectors, relevance = random_candidates(seed, n)
    assert method(likeness_of(vectors), relevance, k, 0.0).tolist() == list(range(min(k, n)))


@given(seed=st.integers(0, 10_000), n=st.integers(2, 30), k=st.integers(1, 12), strength=st.floats(0, 0.99))
def test_marginal_relevance_is_that_of_the_slow_oracle(seed, n, k, strength) -> None:
    vectors, relevance = random_candidates(seed, n)
    chosen = by_marginal_relevance(likeness_of(vectors), relevance, k, strength)
    slow = maximal_marginal_relevance(relevance, vectors.astype(np.float64), k, 1 - strength)
    assert chosen.tolist() == slow.tolist()


@given(seed=st.integers(0, 10_000), n=st.integers(2, 20), k=st.integers(1, 8), strength=st.floats(0, 0.99))
def test_a_determinant_is_that_of_the_slow_oracle(seed, n, k, strength) -> None:
    vectors, relevance = random_candidates(seed, n)
    exact = vectors.astype(np.float64)
    kernel = (1 - OWN_SHARE) * exact @ exact.T
    np.fill_diagonal(kernel, 1.0)

    def log_determinant(items: list[int]) -> float:
        return float(np.linalg.slogdet(kernel[np.ix_(items, items)])[1]) if items else 0.0

    def gain(before: list[int], item: int) -> float:
        grown = log_determinant([*before, item]) - log_determinant(before)
        return (1 - strength) * relevance[item] + strength * grown

    chosen = by_determinant(likeness_of(vectors), relevance, k, strength).tolist()
    for place, item in enumerate(chosen):  # as good as the best one, where rounding makes two change places
        left = [other for other in range(n) if other not in chosen[:place]]
        assert gain(chosen[:place], item) >= max(gain(chosen[:place], other) for other in left) - 1e-9


@given(seed=st.integers(0, 10_000), n=st.integers(1, 20), k=st.integers(1, 8), strength=st.floats(0, 0.99))
def test_calibration_is_that_of_the_slow_oracle(seed, n, k, strength) -> None:
    rng = np.random.default_rng(seed)
    _, relevance = random_candidates(seed, n)
    of_item = [sorted(rng.choice(5, rng.integers(0, 4), replace=False).tolist()) for _ in range(n)]
    wanted = rng.dirichlet(np.ones(5)) * np.array([1, 1, 1, 1, 0])
    wanted /= wanted.sum()

    def divergence(items: list[int]) -> float:
        offered = np.zeros(5)
        for item in items:
            offered[of_item[item]] += 1 / max(len(of_item[item]), 1)
        offered /= max(offered.sum(), 1)
        mixed = (1 - SMOOTHING) * offered + SMOOTHING * wanted
        return sum(p * log(p / q) for p, q in zip(wanted, mixed, strict=True) if p > 0)

    def gain(before: list[int], item: int) -> float:
        return (1 - strength) * relevance[item] - strength * divergence([*before, item])

    offsets = offsets_of([len(categories) for categories in of_item])
    category_idx = np.array([category for categories in of_item for category in categories], np.int32)
    items = np.arange(n, dtype=np.int32)
    chosen = by_calibration(offsets, category_idx, items, wanted, relevance, k, strength).tolist()
    assert len(set(chosen)) == len(chosen) == min(k, n)
    for place, item in enumerate(chosen):
        left = [other for other in range(n) if other not in chosen[:place]]
        assert gain(chosen[:place], item) >= max(gain(chosen[:place], other) for other in left) - 1e-9


@given(seed=st.integers(0, 10_000), n=st.integers(2, 40), k=st.integers(1, 12), strength=st.floats(0.05, 0.95))
def test_marginal_relevance_is_that_of_pyversity(seed, n, k, strength) -> None:
    vectors, relevance = random_candidates(seed, n)
    vectors = np.abs(vectors)  # what is less than unlike counts as unlike with us
    theirs = pyversity.diversify(vectors, relevance, k, pyversity.Strategy.MMR, diversity=strength)
    ours = by_marginal_relevance(likeness_of(vectors), relevance, k, strength)
    assert _as_good(ours, theirs.indices, lambda before, item: _mmr_gain(vectors, relevance, strength, before, item))


@given(seed=st.integers(0, 10_000), n=st.integers(3, 30), k=st.integers(1, 8), strength=st.floats(0.2, 0.8))
def test_a_determinant_is_that_of_pyversity(seed, n, k, strength) -> None:
    vectors, relevance = random_candidates(seed, n)
    # A direction of its own for each item makes its vector what OWN_SHARE means.
    own = np.sqrt(OWN_SHARE) * np.eye(n)
    theirs = pyversity.diversify(
        np.hstack([np.sqrt(1 - OWN_SHARE) * vectors, own]), relevance, k, pyversity.Strategy.DPP, diversity=0.5,
        scale=(1 - strength) / strength * float(relevance.std()),
    )  # fmt: skip
    ours = by_determinant(likeness_of(vectors), relevance, k, strength)
    assert _probability(vectors, relevance, strength, ours) == pytest.approx(
        _probability(vectors, relevance, strength, theirs.indices), abs=1e-3
    )


def _as_good(ours: np.ndarray, theirs: np.ndarray, gain: Callable[[list[int], int], float]) -> bool:
    """Whether two orders are the same up to what pyversity, which adds up in 32 bits, cannot tell apart."""
    for place, (own, other) in enumerate(zip(ours.tolist(), theirs.tolist(), strict=True)):
        if own != other:
            return abs(gain(ours[:place].tolist(), own) - gain(ours[:place].tolist(), other)) < 1e-5
    return True


def _mmr_gain(vectors: np.ndarray, relevance: np.ndarray, strength: float, before: list[int], item: int) -> float:
    likeness = max((float(vectors[item] @ vectors[other]) for other in before), default=0.0)
    return (1 - strength) * float(relevance[item]) - strength * likeness


def _probability(vectors: np.ndarray, relevance: np.ndarray, strength: float, chosen: np.ndarray) -> float:
    kernel = (1 - OWN_SHARE) * vectors.astype(np.float64) @ vectors.T
    np.fill_diagonal(kernel, 1.0)
    spanned = np.linalg.slogdet(kernel[np.ix_(chosen, chosen)])[1] if len(chosen) else -inf
    return float((1 - strength) * relevance[chosen].sum() + strength * spanned)


@pytest.mark.parametrize("method", [by_marginal_relevance, by_determinant])
def test_items_that_are_all_the_same_keep_their_order(method) -> None:
    same = np.ones((5, 1), np.float32)
    for strength in (0.3, 1.0):
        assert method(likeness_of(same), np.zeros(5), 5, strength).tolist() == [0, 1, 2, 3, 4]


@given(seed=st.integers(0, 10_000), k=st.integers(1, 10), strength=st.floats(0, 1))
def test_the_head_of_a_longer_slate_is_the_shorter_slate(seed, k, strength) -> None:
    vectors, relevance = random_candidates(seed, 20)
    likeness = likeness_of(vectors)
    for method in (by_marginal_relevance, by_determinant):
        longer, shorter = method(likeness, relevance, k + 5, strength), method(likeness, relevance, k, strength)
        assert longer[:k].tolist() == shorter.tolist()
