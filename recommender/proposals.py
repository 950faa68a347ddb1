"""What generators and the index propose, and the one rule for the k best."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from contracts.ids import FloatArray, ItemIdxArray
from recommender.ragged import Offsets, PairKeys, Rows, is_among, offsets_of, pair_keys, places_of, rows_of

# Above every rank key: what fills up the shorter rows. Its score would be a NaN, which is never ranked.
_NOTHING: Final = np.uint64(2**64 - 1)
_SIGN: Final = np.uint32(2**31)


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
    eligible = ~np.isnan(scores)
    if excluded is not None and len(excluded):
        eligible &= ~is_among(pair_keys(rows, item_idx), excluded)
    if not eligible.all():
        rows, item_idx, scores = rows[eligible], item_idx[eligible], scores[eligible]
    if k <= 0 or not len(rows):
        return Proposals.none(n_rows)
    keys = _rank_keys(item_idx, scores)
    if n_rows == 1:
        keys = _smallest(keys, k)
        return Proposals(offsets_of([len(keys)]), *_ranked(keys))
    lengths = np.bincount(rows, minlength=n_rows)
    table = np.full((n_rows, int(lengths.max())), _NOTHING)
    table[rows, places_of(offsets_of(lengths))] = keys
    table = _smallest(table, k)
    kept = table != _NOTHING
    return Proposals(offsets_of(kept.sum(axis=1)), *_ranked(table[kept]))


def best_of_one(item_idx: ItemIdxArray, scores: FloatArray, k: int) -> tuple[ItemIdxArray, FloatArray]:
    """The k best of these items, best first, and their scores."""
    best = best_first(np.zeros(len(item_idx), np.int64), item_idx, np.asarray(scores, np.float32), 1, k)
    return best.item_idx, best.scores


def _smallest(keys: npt.NDArray[np.uint64], k: int) -> npt.NDArray[np.uint64]:
    """The k smallest of each row, ascending; all of them where there are fewer."""
    if k < keys.shape[-1]:
        keys = np.partition(keys, k - 1)[..., :k]
    keys.sort()
    return keys


def _rank_keys(item_idx: ItemIdxArray, scores: FloatArray) -> npt.NDArray[np.uint64]:
    """Numbers that sort as (score descending, item ascending): the bits of the score in an order, then the item."""
    bits = (np.asarray(scores, np.float32) + np.float32(0)).view(np.uint32)  # adding 0 makes -0.0 equal to 0.0
    ascending = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    return (~ascending).astype(np.uint64) << np.uint64(32) | item_idx.astype(np.uint64)


def _ranked(keys: npt.NDArray[np.uint64]) -> tuple[ItemIdxArray, FloatArray]:
    """The items and scores that these keys were made of."""
    ascending = ~(keys >> np.uint64(32)).astype(np.uint32)
    bits = np.where(ascending & _SIGN, ascending ^ _SIGN, ~ascending)
    return (keys & np.uint64(2**32 - 1)).astype(np.int32), bits.astype(np.uint32).view(np.float32)
