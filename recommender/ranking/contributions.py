"""What each feature adds to a score: Shapley values of LightGBM's trees, as its `pred_contrib` gives them.

A server does without LightGBM (its import takes seconds, and 100 MiB), so they are computed here, by a compiled loop.
The trees are walked leaf by leaf. A leaf of value v, on whose way the features P are asked, gives feature i

    v * (follows_i - share_i) * integral over t from 0 to 1 of the product over j in P, j != i,
                                of (t * follows_j + (1 - t) * share_j)

follows: 1 where the row goes this way at every split of that feature, else 0; share: of the training rows at those
splits, how many go this way. The product is a polynomial of t whose degree is below the number of features, so that
Gauss and Legendre's rule with half as many points gives its integral exactly. Nothing is subtracted but share_i, so
that long ways lose no digits.

Source: Lundberg et al., Nature Machine Intelligence 2 (2020), algorithm 2, which defines the same numbers; the integral
is Owen's, Management Science 18 (1972).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from contracts.ids import FloatArray
from recommender.compiled import INDICES, SUMS, SUMS_TABLE, TABLE, VECTORS, compiled, inlined
from recommender.ranking.model_text import Tree, parsed_trees

Sums = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

LARGEST: Final = 1e300  # what LightGBM reads an infinite threshold as
ZERO: Final = 1e-35  # what LightGBM takes for zero
DEFAULT_LEFT, MISSING_IS_ZERO, MISSING_IS_NAN = 2, 1, 2  # of a split's decision: bit 1, and what bits 2 and 3 say


@dataclass(frozen=True)
class TreePaths:
    """The ways to the leaves of all trees, as the loop reads them.

    splits: (n_splits, 2) feature and decision of each; thresholds: (n_splits,). steps: (n_steps, 3) of each way the
    splits, whether it goes left there, and which of the way's features that is. features, shares: of each way its
    features, each once, and how many of the training rows go this way at them. leaves: (n_leaves + 1, 2) where the
    steps and the features of each way begin; leaf_values: (n_leaves,).
    base: the score where nothing is known of a row. points, weights: (n + 1, n / 2) the rule of integration for a way
    of so many features.
    """

    splits: Numbers
    thresholds: Sums
    steps: Numbers
    features: npt.NDArray[np.int32]
    shares: Sums
    leaves: Numbers
    leaf_values: Sums
    base: float
    points: Sums
    weights: Sums

    @classmethod
    def of(cls, text: str) -> TreePaths:
        """Those of a model. text: as `trees_of` gives it."""
        trees = list(parsed_trees(text))
        ways = [way for number, tree in enumerate(trees) for way in _ways(tree, _n_splits(trees[:number]))]
        bounds = np.cumsum([[0, 0], *([len(way.steps), len(way.features)] for way in ways)], axis=0)
        points, weights = _integration_rules(max((len(way.features) for way in ways), default=0))
        return cls(
            splits=np.array(
                [split for tree in trees for split in zip(tree.features, tree.decisions, strict=True)], np.int64
            ).reshape(-1, 2),
            thresholds=np.clip([value for tree in trees for value in tree.thresholds], -LARGEST, LARGEST),
            steps=np.array([step for way in ways for step in way.steps], np.int64).reshape(-1, 3),
            features=np.array([feature for way in ways for feature in way.features], np.int32),
            shares=np.array([share for way in ways for share in way.shares], np.float64),
            leaves=bounds.astype(np.int64),
            leaf_values=np.array([way.value for way in ways], np.float64),
            base=float(sum(way.value * np.prod(way.shares) for way in ways)),
            points=points,
            weights=weights,
        )

    def contributions(self, values: FloatArray) -> Sums:
        """(n, n_features + 1) what each feature adds to each row's score; last, what all rows have: `base`.

        A row's numbers sum to its score, and do not depend on the other rows. values: (n, n_features).
        """
        added = _contributions(
            np.ascontiguousarray(values, np.float32),
            self.splits,
            self.thresholds,
            self.steps,
            self.leaves,
            self.features,
            self.shares,
            self.leaf_values,
            self.points,
            self.weights,
        )
        return np.column_stack([added, np.full(len(values), self.base)])


@dataclass(frozen=True)
class _Way:
    """From the root of a tree to one leaf; see `TreePaths`."""

    steps: Sequence[tuple[int, bool, int]]
    features: Sequence[int]
    shares: Sequence[float]
    value: float


def _n_splits(trees: Iterable[Tree]) -> int:
    return sum(len(tree.features) for tree in trees)


def _ways(tree: Tree, first_split: int) -> list[_Way]:
    """Those to its leaves, in their order. first_split: the number of its root among the splits of all trees."""
    counts = _counts(tree)
    sides: dict[int, list[tuple[int, bool]]] = {0 if tree.features else -1: []}
    for split in range(len(tree.features)):
        sides[tree.left[split]] = [*sides[split], (split, True)]
        sides[tree.right[split]] = [*sides[split], (split, False)]
    return [_way(tree, sides[-leaf - 1], counts, value, first_split) for leaf, value in enumerate(tree.leaf_values)]


def _way(tree: Tree, sides: Sequence[tuple[int, bool]], counts: dict[int, int], value: float, first_split: int) -> _Way:
    features = list(dict.fromkeys(tree.features[split] for split, _ in sides))
    shares = [1.0] * len(features)
    for split, is_left in sides:
        child = tree.left[split] if is_left else tree.right[split]
        shares[features.index(tree.features[split])] *= counts[child] / counts[split]
    steps = [(first_split + split, is_left, features.index(tree.features[split])) for split, is_left in sides]
    return _Way(steps, features, shares, value)


def _counts(tree: Tree) -> dict[int, int]:
    """Training rows below each split and in each leaf, numbered as children are.

    A leaf that none went to counts as one row: nothing is divided by none.
    """
    counts = {-leaf - 1: max(count, 1) for leaf, count in enumerate(tree.leaf_counts)}
    for split in reversed(range(len(tree.features))):
        counts[split] = counts[tree.left[split]] + counts[tree.right[split]]
    return counts


def _integration_rules(most: int) -> tuple[Sums, Sums]:
    """Points within 0 to 1 and their weights, of each number of features up to `most` a row: half as many points."""
    points, weights = np.zeros((2, most + 1, (most + 1) // 2))
    for n in range(1, most + 1):
        at, weight = np.polynomial.legendre.leggauss((n + 1) // 2)
        points[n, : len(at)], weights[n, : len(at)] = (at + 1) / 2, weight / 2
    return points, weights


@inlined
def _goes_left(value: Any, threshold: Any, decision: Any) -> bool:  # pragma: no cover - compiled
    """Where LightGBM sends a value; one that counts as missing goes where the split sends those."""
    missing = decision >> 2
    if np.isnan(value):
        if missing == MISSING_IS_NAN:
            return bool(decision & DEFAULT_LEFT)
        value = np.float32(0)
    if missing == MISSING_IS_ZERO and abs(value) <= ZERO:
        return bool(decision & DEFAULT_LEFT)
    return bool(np.float64(value) <= threshold)


@inlined
def _follow(
    steps: Any, start: Any, end: Any, goes_left: Any, follows: Any, n: Any
) -> None:  # pragma: no cover - compiled
    """Note for each of a way's n features whether the row goes this way at all of its splits: 1 or 0."""
    for at in range(n):
        follows[at] = 1
    for step in range(start, end):
        if goes_left[steps[step, 0]] != steps[step, 1]:
            follows[steps[step, 2]] = 0


@compiled(VECTORS, TABLE, SUMS, TABLE, TABLE, INDICES, SUMS, SUMS, SUMS_TABLE, SUMS_TABLE)
def _contributions(
    rows: FloatArray,
    splits: Numbers,
    thresholds: Sums,
    steps: Numbers,
    leaves: Numbers,
    features: npt.NDArray[np.int32],
    shares: Sums,
    leaf_values: Sums,
    points: Sums,
    weights: Sums,
) -> Sums:  # pragma: no cover - compiled
    """(n_rows, n_features) what each feature adds; the arrays are those of `TreePaths`."""
    added = np.zeros((len(rows), rows.shape[1]))
    goes_left = np.empty(len(splits), np.int64)
    follows = np.empty(len(points), np.int64)
    for row in range(len(rows)):
        for split in range(len(splits)):
            goes_left[split] = _goes_left(rows[row, splits[split, 0]], thresholds[split], splits[split, 1])
        for leaf in range(len(leaf_values)):
            first, n = leaves[leaf, 1], leaves[leaf + 1, 1] - leaves[leaf, 1]
            _follow(steps, leaves[leaf, 0], leaves[leaf + 1, 0], goes_left, follows, n)
            missed = 0.0  # what each feature that the row does not follow takes away
            for number in range((n + 1) // 2):
                t = points[n, number]
                product = weights[n, number] * leaf_values[leaf]
                for at in range(n):
                    product *= (1 - t) * shares[first + at] + t * follows[at]
                missed += product / (1 - t)
                for at in range(n):
                    if follows[at] == 1:
                        share = shares[first + at]
                        added[row, features[first + at]] += product * (1 - share) / ((1 - t) * share + t)
            for at in range(n):
                if follows[at] == 0:
                    added[row, features[first + at]] -= missed
    return added
