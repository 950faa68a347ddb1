"""How good a slate was: one value per person, and intervals over people.

slate: (n,) item indices, best first; relevant: the items the person touched afterwards. `k` is the cut-off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contracts.errors import DataTooSmall, ShapeMismatch
from contracts.ids import FloatArray, ItemIdxArray

PerPerson = npt.NDArray[np.float64]


def ndcg(slate: ItemIdxArray, relevant: ItemIdxArray, k: int) -> float:
    """Discounted gain of the hits over that of the best possible slate; 0 where nothing was relevant.

    Source: Jarvelin and Kekalainen, TOIS 2002; gains are 0 or 1, discount 1 / log2(position + 1).
    """
    n_best = min(len(relevant), k)
    if not n_best:
        return 0.0
    discount = 1 / np.log2(np.arange(2, k + 2))
    hits = _hits(slate, relevant, k)
    return float(discount[: len(hits)][hits].sum() / discount[:n_best].sum())


def recall(slate: ItemIdxArray, relevant: ItemIdxArray, k: int) -> float:
    """The share of the relevant items that the slate shows; 0 where nothing was relevant."""
    return float(_hits(slate, relevant, k).sum() / len(relevant)) if len(relevant) else 0.0


def hit_rate(slate: ItemIdxArray, relevant: ItemIdxArray, k: int) -> float:
    """1 where the slate shows a relevant item, else 0."""
    return float(_hits(slate, relevant, k).any())


def mrr(slate: ItemIdxArray, relevant: ItemIdxArray, k: int) -> float:
    """1 / position of the first hit; 0 without one."""
    positions = np.flatnonzero(_hits(slate, relevant, k)) + 1
    return float(1 / positions[0]) if len(positions) else 0.0


def novelty(slate: ItemIdxArray, popularity: FloatArray, k: int) -> float:
    """Mean surprise of the items shown, in bits: -log2 of the share of people who knew the item; 0 for no slate.

    popularity: (n_items,) shares in 0 to 1; an item nobody knew counts as one that one in a million did.
    Source: Zhou et al., PNAS 2010.
    """
    shown = slate[:k]
    return float(-np.log2(np.maximum(popularity[shown], 1e-6)).mean()) if len(shown) else 0.0


def intra_list_diversity(slate: ItemIdxArray, vectors: FloatArray, k: int) -> float:
    """Mean of 1 - cosine over the pairs of the slate; 0 for fewer than two items.

    vectors: (n_items, dim), rows of unit length, or zero for an item that is like none.
    Source: Ziegler et al., WWW 2005.
    """
    shown = vectors[slate[:k]]
    n_shown = len(shown)
    if n_shown < 2:
        return 0.0
    likeness = shown @ shown.T
    n_pairs = n_shown * (n_shown - 1)
    return float(1 - (likeness.sum() - np.trace(likeness)) / n_pairs)


def most_popular(popularity: FloatArray, share: float) -> npt.NDArray[np.bool_]:
    """(n_items,) True for this share of the catalogue, one item at least: those that most people knew.

    Of equally popular items the first ones count.
    """
    chosen = np.zeros(len(popularity), dtype=bool)
    n_chosen = max(1, round(share * len(popularity)))
    chosen[np.argsort(-popularity, kind="stable")[:n_chosen]] = True
    return chosen


def popularity_share(slate: ItemIdxArray, popular: npt.NDArray[np.bool_], k: int) -> float:
    """The share of the slate's positions that popular items take; 0 for no slate. popular: (n_items,)."""
    shown = slate[:k]
    return float(popular[shown].mean()) if len(shown) else 0.0


def coverage(slates: Sequence[ItemIdxArray], n_items: int, k: int) -> float:
    """The share of the catalogue that is shown to anybody at all."""
    if not slates or not n_items:
        return 0.0
    return len(np.unique(np.concatenate([slate[:k] for slate in slates]))) / n_items


@dataclass(frozen=True)
class Interval:
    """A mean over people and the ends of its interval."""

    mean: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        return {"mean": self.mean, "low": self.low, "high": self.high}


def bootstrap_interval(
    values: PerPerson, rng: np.random.Generator, n_resamples: int = 1000, level: float = 0.95
) -> Interval:
    """Percentile bootstrap of the mean over people; raises DataTooSmall without anybody.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    if not len(values):
        raise DataTooSmall("There is nobody to measure.", "Bring more data, or lower features.train_share.")
    # Shares of people drawn instead of their indices: the same law, and one small matrix product.
    drawn = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), size=n_resamples)
    means = drawn @ values / len(values)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(values.mean()), float(low), float(high))


def paired_bootstrap(
    challenger: PerPerson,
    champion: PerPerson,
    rng: np.random.Generator,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> Interval:
    """The interval of the mean of `challenger - champion`, both measured on the same people in the same order.

    Raises ShapeMismatch when they are not as many.
    """
    if challenger.shape != champion.shape:
        raise ShapeMismatch(
            f"A paired comparison needs the same people: {len(challenger)} against {len(champion)}.",
            "Measure both on one list of people.",
        )
    return bootstrap_interval(challenger - champion, rng, n_resamples, level)


def _hits(slate: ItemIdxArray, relevant: ItemIdxArray, k: int) -> npt.NDArray[np.bool_]:
    return np.asarray(np.isin(slate[:k], relevant))
