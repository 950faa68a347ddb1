"""How much each item speaks for each other, as a product of two sparse matrices, and the nearest of each item.

The weights of all pairs are never in memory at once: they are multiplied out for some items at a time, and only the
nearest neighbours of each are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from contracts.cores import made_of_each, n_cores
from contracts.ids import FloatArray
from recommender.proposals import Proposals, best_first
from recommender.ragged import Offsets, offsets_of, rows_of, spans

MOST_PAIRS_AT_ONCE = 8_000_000  # on all cores together
LONG_ROW = 4  # times the neighbours that are kept

Weights = npt.NDArray[np.float64]


class LeftRows(Protocol):
    """The rows of a matrix of (n_items, n), some at a time."""

    def of_items(self, items: slice) -> csr_matrix:
        """(n_items asked, n) the rows of these items, which follow each other."""
        ...

    @property
    def n_entries(self) -> npt.NDArray[np.integer]:
        """(n_items,) how long each row is."""
        ...

    def n_met(self, lengths: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        """(n_items,) how many numbers each row is multiplied with; lengths: (n,) of the rows of the other side."""
        ...


@dataclass(frozen=True)
class TouchedBy:
    """Who touched each item, and how much: matrix (n_items, n_users)."""

    matrix: csr_matrix

    def of_items(self, items: slice) -> csr_matrix:
        return self.matrix[items]

    @property
    def n_entries(self) -> npt.NDArray[np.integer]:
        return np.asarray(np.diff(self.matrix.indptr))

    def n_met(self, lengths: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        return np.asarray((self.matrix != 0).astype(np.int64) @ lengths)


@dataclass(frozen=True)
class VisitsAfter:
    """The visits that came after somebody touched an item, each with its weight as often as the item was touched.

    Of events in the order of their items: the events of item i are starts[i]:starts[i+1]; first, end: (n_events,) the
    person's later visits. weights: (n_visits,). All rows at once would be larger than everything else that is fitted.
    """

    starts: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]
    weights: Weights

    def of_items(self, items: slice) -> csr_matrix:
        begin, stop = self.starts[items.start], self.starts[items.stop]
        n_later = self.end[begin:stop] - self.first[begin:stop]
        visits = spans(self.first[begin:stop], n_later)
        rows = rows_of(self.starts[items.start : items.stop + 1] - begin).repeat(n_later)
        return csr_matrix((self.weights[visits], (rows, visits)), (items.stop - items.start, len(self.weights)))

    @property
    def n_entries(self) -> npt.NDArray[np.integer]:
        return np.diff(offsets_of(self.end - self.first)[self.starts])

    def n_met(self, lengths: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        n_before = offsets_of(lengths)
        return np.diff(offsets_of(n_before[self.end] - n_before[self.first])[self.starts])


@dataclass(frozen=True)
class PairWeights:
    """How much each item speaks for each other: left @ right, its rows and then its columns multiplied by a scale.

    left: (n_items, n); right: (n, n_items); row_scale, column_scale: (n_items,), None for 1.
    """

    left: LeftRows
    right: csr_matrix
    row_scale: Weights | None = None
    column_scale: Weights | None = None

    def nearest(self, n_neighbours: int) -> Proposals:
        """Each item's n_neighbours with the largest weights, equal ones in the order of the index; not itself."""
        parts = made_of_each(self._portions(), partial(self._nearest_of, n_neighbours=n_neighbours))
        lengths = np.concatenate([np.empty(0, np.int64), *(np.diff(part.offsets) for part in parts)])
        item_idx = np.concatenate([np.empty(0, np.int32), *(part.item_idx for part in parts)])
        scores = np.concatenate([np.empty(0, np.float32), *(part.scores for part in parts)])
        return Proposals(offsets_of(lengths), item_idx, scores)

    def _nearest_of(self, rows: slice, n_neighbours: int) -> Proposals:
        pairs = csr_matrix(self.left.of_items(rows) @ self.right)
        offsets, column, weight = pairs.indptr.astype(np.int64), pairs.indices, pairs.data
        if self.row_scale is not None:
            weight *= self.row_scale[rows].repeat(np.diff(offsets))
        if self.column_scale is not None:
            weight *= self.column_scale[column]
        row, weights = rows_of(offsets), weight.astype(np.float32)
        weights[column == row + rows.start] = 0
        near = contenders(offsets, weights, n_neighbours)
        return best_first(row[near], column[near], weights[near], pairs.shape[0], n_neighbours)

    def _portions(self) -> Iterator[slice]:
        """Rows that follow each other, so many that neither they nor a table of their pairs are too large."""
        n_items, at_once = self.right.shape[1], MOST_PAIRS_AT_ONCE // n_cores()
        n_pairs = np.minimum(self.left.n_met(np.diff(self.right.indptr)), n_items)
        start, widest, taken = 0, 1, 0
        for row, (width, n) in enumerate(zip(n_pairs.tolist(), self.left.n_entries.tolist(), strict=True)):
            widest, taken = max(widest, width), taken + n
            if row > start and max((row + 1 - start) * widest, taken) > at_once:
                yield slice(start, row)
                start, widest, taken = row, max(width, 1), n
        if start < len(n_pairs):
            yield slice(start, len(n_pairs))


def contenders(offsets: Offsets, weights: FloatArray, n: int) -> npt.NDArray[np.intp]:
    """The positions of the weights above 0 that may be among the n largest of their row, and of few others.

    Putting a row in order takes many times as long as looking for its n-th largest: long rows are cut there first.
    """
    floors = np.zeros(len(offsets) - 1, np.float32)
    for row in np.flatnonzero(np.diff(offsets) > LONG_ROW * n).tolist():
        floors[row] = np.partition(weights[offsets[row] : offsets[row + 1]], -n)[-n]
    return np.flatnonzero((weights > 0) & (weights >= floors.repeat(np.diff(offsets))))
