"""How much each item speaks for each other, as a product of two sparse matrices, and the nearest of each item.

The weights of all pairs are never in memory at once: they are multiplied out for some items at a time, and only the
nearest neighbours of each are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from contracts.cores import made_of_each, n_cores
from contracts.ids import FloatArray, ItemIdxArray
from recommender.compiled import COUNTS, INDICES, NUMBER, SUMS, compiled, inlined, kept, with_room
from recommender.proposals import Proposals, best_first
from recommender.ragged import Offsets, Rows, offsets_of, rows_of, spans

MOST_PAIRS_AT_ONCE = 8_000_000  # on all cores together

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
class StepsApart:
    """What happened around each event with an item, by how many steps apart it was, and on which side.

    Of events in the order of their items: the events of item i are starts[i]:starts[i+1]; at: (n_events,) where each
    stands in the order of people and time; first, end: (n_events,) those around it that are looked at, in that order.
    weights: (n_events,) of each event. What comes n steps later counts apart_weight ** (n - 1), and n steps before,
    before_weight times that.
    """

    starts: npt.NDArray[np.int64]
    at: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]
    weights: Weights
    apart_weight: float
    before_weight: float

    def of_items(self, items: slice) -> csr_matrix:
        begin, stop = self.starts[items.start], self.starts[items.stop]
        n_around = self.end[begin:stop] - self.first[begin:stop]
        around = spans(self.first[begin:stop], n_around)
        steps = around - self.at[begin:stop].repeat(n_around)
        counts = self.apart_weight ** np.maximum(np.abs(steps) - 1, 0) * np.where(steps > 0, 1.0, self.before_weight)
        counts *= (steps != 0) * self.weights[begin:stop].repeat(n_around)
        rows = rows_of(self.starts[items.start : items.stop + 1] - begin).repeat(n_around)
        return csr_matrix((counts, (rows, around)), (items.stop - items.start, len(self.at)))

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
        left, ones = self.left.of_items(rows), np.ones(self.right.shape[1])
        row_scale, column_scale = (ones if scale is None else scale for scale in (self.row_scale, self.column_scale))
        row, item_idx, weights = _heaviest_pairs(
            *_arrays_of(left), *_arrays_of(self.right), row_scale, column_scale, rows.start, n_neighbours
        )
        return best_first(row, item_idx, weights, left.shape[0], n_neighbours)

    def _portions(self) -> Iterator[slice]:
        """Rows that follow each other, so many that they and their pairs are not too large."""
        n_items, at_once = self.right.shape[1], MOST_PAIRS_AT_ONCE // n_cores()
        n_pairs = np.minimum(self.left.n_met(np.diff(self.right.indptr)), n_items)
        start, taken = 0, 0
        for row, size in enumerate((n_pairs + self.left.n_entries).tolist()):
            if row > start and taken + size > at_once:
                yield slice(start, row)
                start, taken = row, 0
            taken += size
        if start < n_items:
            yield slice(start, n_items)


def _arrays_of(matrix: csr_matrix) -> tuple[Offsets, ItemIdxArray, Weights]:
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32, copy=False), matrix.data


@inlined
def _nth_largest(numbers: Any, n_numbers: int, n: int, heap: Any) -> Any:  # pragma: no cover - compiled
    """The n-th largest of the first n_numbers; below all of them where there are fewer. heap: (n,) room."""
    n_kept = 0
    for at in range(n_numbers):
        if n_kept < n or -numbers[at] < heap[0]:  # nearly all are no more than looked at: a call for each took a third
            n_kept = kept(heap, n_kept, n, -numbers[at])
    if n_kept == n:
        return -heap[0]
    return -np.inf


@compiled(COUNTS, INDICES, SUMS, COUNTS, INDICES, SUMS, SUMS, SUMS, NUMBER, NUMBER)
def _heaviest_pairs(
    left_offsets: Offsets,
    left_idx: ItemIdxArray,
    left_weights: Weights,
    offsets: Offsets,
    item_idx: ItemIdxArray,
    weights: Weights,
    row_scale: Weights,
    column_scale: Weights,
    first_row: int,
    n: int,
) -> tuple[Rows, ItemIdxArray, FloatArray]:  # pragma: no cover - compiled
    """Row, item and weight of the pairs that may be among the n heaviest of their row, and of few others.

    Row r of the left is item first_row + r. Sums are taken in the order of SciPy's product, and so are its to the bit;
    it holds them in a list, and goes through all pairs once before, to count them.
    """
    n_items = len(column_scale)
    sums, is_met, met = np.zeros(n_items), np.zeros(n_items, np.bool_), np.empty(n_items, np.int32)
    of_row, heap = np.empty(n_items, np.float32), np.empty(n, np.float32)
    rows, items, heavy = np.empty(n, np.int64), np.empty(n, np.int32), np.empty(n, np.float32)
    n_kept = 0
    for row in range(len(left_offsets) - 1):
        n_met, own = 0, first_row + row
        for at in range(left_offsets[row], left_offsets[row + 1]):
            weight = left_weights[at]
            for entry in range(offsets[left_idx[at]], offsets[left_idx[at] + 1]):
                item = item_idx[entry]
                sums[item] += weight * weights[entry]
                if not is_met[item]:
                    is_met[item] = True
                    met[n_met] = item
                    n_met += 1
        for at in range(n_met):
            item = met[at]
            scaled = sums[item] * row_scale[own] * column_scale[item]
            of_row[at] = np.float32(0 if item == own else scaled)
            sums[item], is_met[item] = 0, False
        floor = _nth_largest(of_row, n_met, n, heap)
        rows, items, heavy = (
            with_room(rows, n_kept, n_met),
            with_room(items, n_kept, n_met),
            with_room(heavy, n_kept, n_met),
        )
        for at in range(n_met):
            if of_row[at] > 0 and of_row[at] >= floor:
                rows[n_kept], items[n_kept], heavy[n_kept] = row, met[at], of_row[at]
                n_kept += 1
    return rows[:n_kept], items[:n_kept], heavy[:n_kept]
