"""EASE for a large catalogue: each item is told by the few that go with it most, and not by all.

The regression of each item is a small one of its own. What is held are the pairs of items that anybody touched both
of, and not a table of all pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from contracts.cores import made_of_each
from contracts.id_map import UNKNOWN
from contracts.ids import ItemIdxArray
from recommender.compiled import COUNTS, INDICES, NUMBER, SUMS, compiled
from recommender.generators.pair_weights import PairWeights, TouchedBy, Weights
from recommender.proposals import Proposals, best_first
from recommender.ragged import Offsets, rows_of

# The power of a regressor's mass that its pairs are divided by when the nearest are picked: 0 leans to popular items, a
# high one to rare items. No measurement of it is kept.
NEAREST_DAMPING = 0.4
MOST_NUMBERS_AT_ONCE = 4_000_000  # of the small regressions that are solved together


def regressed_on_nearest(touched: csr_matrix, mass: Weights, penalties: Weights, n_regressors: int) -> csr_matrix:
    """(n_items, n_items) what item i adds to item j, 0 where i is not among the n_regressors that go with j most.

    For each j: (X'X + diag(penalties)) w = X'x_j, in the rows and columns of its regressors. Those are the largest of
    x_i'x_j / mass_i ** 0.4. touched: (n_users, n_items), X; mass, penalties: (n_items,) above 0.
    Source: Steck, "Markov Random Fields for Collaborative Filtering", NeurIPS 2019, section 3.3, without its sharing
    of one regression by several items.
    """
    n_items = touched.shape[1]
    pairs = PairWeights(TouchedBy(csr_matrix(touched.T)), touched, column_scale=mass**-NEAREST_DAMPING)
    regressors = pairs.nearest(n_regressors)
    gram = csr_matrix(touched.T @ touched)
    gram.sort_indices()
    solve = partial(_solved, gram=gram, penalties=penalties, regressors=regressors, n_regressors=n_regressors)
    with threadpool_limits(1, "blas"):  # more would split sums differently from machine to machine
        parts = made_of_each(_portions(n_items, n_regressors), solve)
    weights = np.concatenate([np.empty(0), *parts])
    told_by = csr_matrix((weights, regressors.item_idx, regressors.offsets), (n_items, n_items))
    return csr_matrix(told_by.T)


def nearest_of_sparse(weights: csr_matrix, n_neighbours: int) -> Proposals:
    """Of each row the n_neighbours largest weights above 0, equal ones in the order of the columns."""
    weights.sort_indices()
    rows = rows_of(weights.indptr.astype(np.int64))
    speaks = weights.data.astype(np.float32) > 0
    numbers, columns = weights.data.astype(np.float32)[speaks], weights.indices[speaks]
    return best_first(rows[speaks], columns, numbers, weights.shape[0], n_neighbours)


def _portions(n_items: int, n_regressors: int) -> Iterator[slice]:
    step = max(1, MOST_NUMBERS_AT_ONCE // n_regressors**2)
    return (slice(start, min(start + step, n_items)) for start in range(0, n_items, step))


def _solved(items: slice, gram: csr_matrix, penalties: Weights, regressors: Proposals, n_regressors: int) -> Weights:
    """The weights of the regressors of these items, in the order of `regressors`."""
    offsets = np.ascontiguousarray(regressors.offsets[items.start : items.stop + 1])
    equations, wanted = _normal_equations(
        gram.indptr.astype(np.int64), gram.indices.astype(np.int32, copy=False), gram.data, penalties, offsets,
        regressors.item_idx, items.start, n_regressors,
    )  # fmt: skip
    solved = np.linalg.solve(equations, wanted[:, :, None])[:, :, 0]
    is_there = np.arange(n_regressors) < np.diff(offsets)[:, None]
    return np.asarray(solved[is_there], np.float64)


@compiled(COUNTS, INDICES, SUMS, SUMS, COUNTS, INDICES, NUMBER, NUMBER)
def _normal_equations(
    gram_offsets: Offsets,
    gram_items: ItemIdxArray,
    gram: Weights,
    penalties: Weights,
    offsets: Offsets,
    regressors: ItemIdxArray,
    first_item: int,
    n: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:  # pragma: no cover - compiled
    """(n_asked, n, n) and (n_asked, n) the rows and columns of each item's regressors in the gram, and its own column.

    Past the number of an item's regressors, 1 on the diagonal and 0 elsewhere.
    """
    n_asked = len(offsets) - 1
    equations, wanted = np.zeros((n_asked, n, n)), np.zeros((n_asked, n))
    place = np.full(len(gram_offsets) - 1, UNKNOWN, np.int32)
    for asked in range(n_asked):
        begin, end, own = offsets[asked], offsets[asked + 1], first_item + asked
        for at in range(begin, end):
            place[regressors[at]] = at - begin
        for row in range(n):
            if row >= end - begin:
                equations[asked, row, row] = 1
                continue
            item = regressors[begin + row]
            for entry in range(gram_offsets[item], gram_offsets[item + 1]):
                column = place[gram_items[entry]]
                if column != UNKNOWN:
                    equations[asked, row, column] = gram[entry]
                if gram_items[entry] == own:
                    wanted[asked, row] = gram[entry]
            equations[asked, row, row] += penalties[item]
        for at in range(begin, end):
            place[regressors[at]] = UNKNOWN
    return equations, wanted
