"""What generators and the index propose, and the one rule for the k best."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from contracts.ids import FloatArray, ItemIdxArray
from recommender.compiled import BITS, COUNTS, INDICES, NUMBER, compiled, inlined, is_in, sink, sort
from recommender.ragged import Offsets, PairKeys, Rows, places_of, rows_of

_SIGN: Final = np.uint32(2**31)
_BELOW_SIGN: Final = np.uint32(2**31 - 1)
_INFINITY: Final = np.uint32(0x7F800000)
_ITEM_BITS: Final = np.uint64(32)
_LOW_BITS: Final = np.uint64(2**32 - 1)
_NO_PAIRS: Final = np.empty(0, np.int64)


@dataclass(frozen=True)
class Proposals:
    """Items proposed for several queries, one query's after the other's, best first.

    offsets: query q's are item_idx[offsets[q]:offsets[q + 1]]; scores: aligned with item_idx, higher is better.
    """

    offsets: Offsets
    item_idx: ItemIdxArray
    scores: FloatArray

    @classmethod
    def none(cls, n_queries: int) -> Proposals:
        """Nothing for anybody."""
        return cls(np.zeros(n_queries + 1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def rows(self) -> Rows:
        return rows_of(self.offsets)

    @property
    def ranks(self) -> npt.NDArray[np.int64]:
        """(n_items,) 1 for the best of each query."""
        return places_of(self.offsets) + 1

    def of_query(self, query: int) -> tuple[ItemIdxArray, FloatArray]:
        """The items proposed for one of the queries, and their scores."""
        own = slice(self.offsets[query], self.offsets[query + 1])
        return self.item_idx[own], self.scores[own]


def best_first(
    rows: Rows, item_idx: ItemIdxArray, scores: FloatArray, n_rows: int, k: int, excluded: PairKeys | None = None
) -> Proposals:
    """The k best items of each row, best first: the one rule for top-k.

    rows: ascending. excluded: sorted keys of pairs that are left out, as are NaN scores; equal scores come in the order
    of item_idx.

    >>> best = best_first(np.array([0, 0, 0]), np.array([7, 5, 2], np.int32), np.array([1, 3, 3], np.float32), 1, k=2)
    >>> best.item_idx.tolist(), best.scores.tolist()
    ([2, 5], [3.0, 3.0])
    """
    if k <= 0 or not len(rows):
        return Proposals.none(n_rows)
    without = _NO_PAIRS if excluded is None else excluded
    items = np.ascontiguousarray(item_idx, np.int32)
    bits = (np.asarray(scores, np.float32) + np.float32(0)).view(np.uint32)  # adding 0 makes -0.0 equal to 0.0
    offsets, best, best_bits = _best_of_rows(np.ascontiguousarray(rows), items, bits, n_rows, k, without)
    return Proposals(offsets, best, best_bits.view(np.float32))


def best_of_one(item_idx: ItemIdxArray, scores: FloatArray, k: int) -> tuple[ItemIdxArray, FloatArray]:
    """The k best of these items, best first, and their scores."""
    best = best_first(np.zeros(len(item_idx), np.int64), item_idx, np.asarray(scores, np.float32), 1, k)
    return best.item_idx, best.scores


@inlined
def _in_descending_order(bits: np.uint32) -> np.uint32:  # pragma: no cover - compiled
    """The bits of a float as a number that is larger for a smaller float; of that number, the bits again."""
    return np.uint32(bits if bits & _SIGN else bits ^ _BELOW_SIGN)


@compiled(COUNTS, INDICES, BITS, NUMBER, NUMBER, COUNTS)
def _best_of_rows(
    rows: Rows, item_idx: ItemIdxArray, bits: npt.NDArray[np.uint32], n_rows: int, k: int, excluded: PairKeys
) -> tuple[Offsets, ItemIdxArray, npt.NDArray[np.uint32]]:  # pragma: no cover - compiled
    """(offsets, item_idx, bits of the scores) of `best_first`. The k best of a row so far are a heap, the worst on top.

    A candidate is one number, which sorts as (score descending, item ascending): the bits in an order, then the item.
    """
    most = min(len(rows), n_rows * k)
    offsets = np.zeros(n_rows + 1, np.int64)
    best_items, best_bits = np.empty(most, np.int32), np.empty(most, np.uint32)
    heap = np.empty(min(k, len(rows)), np.uint64)
    at, written = 0, 0
    for row in range(n_rows):
        n = 0
        while at < len(rows) and rows[at] == row:
            item, score = item_idx[at], bits[at]
            at += 1
            if score & _BELOW_SIGN > _INFINITY:  # a NaN
                continue
            key = np.uint64(_in_descending_order(score)) << _ITEM_BITS | np.uint64(item)
            if n == k and key >= heap[0]:
                continue
            if is_in(row << 32 | np.int64(item), excluded):
                continue
            if n < k:
                heap[n] = key
                n += 1
                if n == k:
                    for place in range(k // 2 - 1, -1, -1):
                        sink(heap, place, k)
            else:
                heap[0] = key
                sink(heap, 0, k)
        sort(heap, n)
        for place in range(n):
            best_items[written] = np.int32(heap[place] & _LOW_BITS)
            best_bits[written] = _in_descending_order(np.uint32(heap[place] >> _ITEM_BITS))
            written += 1
        offsets[row + 1] = written
    return offsets, best_items[:written], best_bits[:written]
