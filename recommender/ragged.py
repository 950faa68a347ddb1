"""Arrays of different lengths in one: what belongs to many queries, one query's values after the other's.

The values of row q are values[offsets[q]:offsets[q + 1]]. A sum over a row is taken in the order of its values, so that
it does not hang on what other rows there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from contracts.artefact import REBUILD
from contracts.errors import ArtefactError
from contracts.ids import FloatArray, ItemIdxArray

Offsets = npt.NDArray[np.int64]  # (n_rows + 1,), the first one 0
Rows = npt.NDArray[np.int64]  # (n_values,) the row of each value
PairKeys = npt.NDArray[np.int64]  # row and item in one number, which sorts by row and then by item

ITEM_BITS: Final = 2**32 - 1  # of a pair key: the item; the bits above are the row
ONE_ROW: Final = 2  # offsets; a click is a batch of one query, for which the general way costs many times the work


def offsets_of(lengths: npt.NDArray[np.integer] | Sequence[int]) -> Offsets:
    """Where each row of these lengths begins, and where the last one ends."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.add.accumulate(lengths, out=offsets[1:])
    return offsets


def lengths_of(offsets: Offsets) -> npt.NDArray[np.int64]:
    """The length of each row."""
    lengths: npt.NDArray[np.int64] = offsets[1:] - offsets[:-1]  # where rows are few, a tenth of the time of np.diff
    return lengths


def rows_of(offsets: Offsets) -> Rows:
    """The row of each value."""
    if len(offsets) == ONE_ROW:
        return np.zeros(offsets[-1], np.int64)
    rows: Rows = np.arange(len(offsets) - 1).repeat(lengths_of(offsets))
    return rows


def places_of(offsets: Offsets) -> npt.NDArray[np.int64]:
    """The place of each value in its row, from 0."""
    if len(offsets) == ONE_ROW:
        return np.arange(offsets[-1])
    ranks: npt.NDArray[np.int64] = np.arange(offsets[-1]) - offsets[:-1].repeat(lengths_of(offsets))
    return ranks


def weights_by_step(offsets: Offsets, step_weight: float) -> npt.NDArray[np.float64]:
    """(n_values,) how much each value of a row counts: the one n steps before the last, step_weight ** n.

    >>> weights_by_step(np.array([0, 3, 4]), 0.5).tolist()
    [0.25, 0.5, 1.0, 1.0]
    """
    steps_back = (lengths_of(offsets) - 1)[rows_of(offsets)] - places_of(offsets)
    weights: npt.NDArray[np.float64] = np.power(step_weight, steps_back)
    return weights


def spans(starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The positions starts[i], starts[i] + 1, ... of each span, one span after the other.

    >>> spans(np.array([7, 2]), np.array([2, 3])).tolist()
    [7, 8, 2, 3, 4]
    """
    offsets = offsets_of(lengths)
    positions: npt.NDArray[np.int64] = np.arange(offsets[-1]) + (starts - offsets[:-1]).repeat(lengths)
    return positions


def pair_keys(rows: Rows, item_idx: npt.NDArray[np.integer]) -> PairKeys:
    """One number for each pair of a row and an item."""
    return (rows.astype(np.int64) << 32) | item_idx


def is_among(keys: PairKeys, among: PairKeys) -> npt.NDArray[np.bool_]:
    """Whether each key is one of `among`, which is sorted."""
    if not len(among):
        return np.zeros(len(keys), bool)
    at = np.minimum(np.searchsorted(among, keys), len(among) - 1)
    return np.asarray(among[at] == keys)


def sum_by(rows: Rows, values: npt.NDArray[np.floating], n_rows: int) -> npt.NDArray[np.float64]:
    """(n_rows,) the sum of each row, in the order of its values; values: (n_values,)."""
    sums: npt.NDArray[np.float64] = np.bincount(rows, values, n_rows).astype(np.float64, copy=False)
    return sums


def mean_by(rows: Rows, values: npt.NDArray[np.floating], n_rows: int) -> npt.NDArray[np.float64]:
    """(n_rows,) the mean of each row's values that are not NaN; NaN where there is none."""
    known = ~np.isnan(values)
    if known.all():
        n_values = np.bincount(rows, minlength=n_rows)
        return np.where(n_values, sum_by(rows, values, n_rows) / np.maximum(n_values, 1), np.nan)
    n_known = np.bincount(rows[known], minlength=n_rows)
    return np.where(n_known, sum_by(rows[known], values[known], n_rows) / np.maximum(n_known, 1), np.nan)


def max_by(rows: Rows, values: npt.NDArray[np.floating], n_rows: int) -> npt.NDArray[np.float64]:
    """(n_rows,) the largest of each row's values; minus infinity where there is none."""
    largest = np.full(n_rows, -np.inf)
    np.maximum.at(largest, rows, values.astype(np.float64, copy=False))  # many times as fast as with mixed types
    return largest


def dot_by_row(left: FloatArray, right: FloatArray) -> FloatArray:
    """(n,) the inner product of each row with the row beside it; both (n, dim), summed row by row in one order."""
    return np.asarray((left * right).sum(axis=1), np.float32)


@dataclass(frozen=True)
class RaggedItems:
    """Items of several queries, one query's after the other's: query q's are item_idx[offsets[q]:offsets[q + 1]].

    >>> items = RaggedItems.of([np.array([4, 7], np.int32), np.array([], np.int32), np.array([5], np.int32)])
    >>> items.offsets.tolist(), items.rows.tolist()
    ([0, 2, 2, 3], [0, 0, 2])
    >>> items.latest(1).item_idx.tolist()
    [7, 5]
    """

    offsets: Offsets
    item_idx: ItemIdxArray

    @classmethod
    def of(cls, items_by_row: Iterable[ItemIdxArray]) -> RaggedItems:
        """Rows of these items, in the order given."""
        rows = list(items_by_row)
        item_idx = np.concatenate([np.empty(0, np.int32), *rows]).astype(np.int32, copy=False)
        return cls(offsets_of([len(row) for row in rows]), item_idx)

    @classmethod
    def of_rows(cls, rows: Rows, item_idx: ItemIdxArray, n_rows: int) -> RaggedItems:
        """Of items whose rows are ascending."""
        return cls(offsets_of([len(rows)] if n_rows == 1 else np.bincount(rows, minlength=n_rows)), item_idx)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> ItemIdxArray:
        return self.item_idx[self.offsets[row] : self.offsets[row + 1]]

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        return lengths_of(self.offsets)

    @cached_property
    def rows(self) -> Rows:
        return rows_of(self.offsets)

    @cached_property
    def keys(self) -> PairKeys:
        return pair_keys(self.rows, self.item_idx)

    def where(self, chosen: npt.NDArray[np.bool_]) -> RaggedItems:
        """Only the chosen items, in their rows; chosen: (n_items,)."""
        if chosen.all():
            return self
        return RaggedItems.of_rows(self.rows[chosen], self.item_idx[chosen], len(self))

    def latest(self, n: int) -> RaggedItems:
        """At most the last n items of each row."""
        return self.where(places_of(self.offsets) >= (self.lengths - n)[self.rows])


def check_ascending(folder: Path, what: str, rows: RaggedItems, n_items: int) -> None:
    """Refuse what an artefact holds, named `what`, unless each row's are of 0 to n_items - 1, ascending, none twice.

    Compiled loops trust these numbers, and a search among numbers out of order would find anything. Raises
    ArtefactError.
    """
    offsets, numbers = rows.offsets, rows.item_idx
    are_rows = bool(len(offsets)) and offsets[0] == 0 and offsets[-1] == len(numbers)
    are_rows = are_rows and bool((np.diff(offsets) >= 0).all())
    are_items = not len(numbers) or 0 <= numbers.min() <= numbers.max() < n_items
    if not are_rows or not are_items or not _is_ascending(rows):
        raise ArtefactError(f"{folder} is damaged: its {len(numbers)} {what} are not in order, or no {what}.", REBUILD)


def _is_ascending(rows: RaggedItems) -> bool:
    rises = np.diff(rows.item_idx) > 0
    begins = rows.offsets[1:-1]
    rises[begins[(begins > 0) & (begins < len(rows.item_idx))] - 1] = True  # a row's first one may be any
    return bool(rises.all())
