"""Rows of items that a reader has read already: within a generation they never change, so that each is read once."""

from __future__ import annotations

from threading import Lock

import numpy as np
import numpy.typing as npt

from contracts.ids import FloatArray, ItemIdxArray

MOST_KEPT = (
    200_000  # rows; of 40 features 32 MB. Past it, it begins anew: what is asked about often is soon there again
)
NOWHERE = -1


class KeptRows:
    """Rows of items by their dense index, for several threads.

    n_items: of the catalogue; n_features: of a row; most_kept: rows held at once.
    """

    def __init__(self, n_items: int, n_features: int, most_kept: int = MOST_KEPT) -> None:
        n_slots = min(n_items, most_kept)
        self._slot_of = np.full(n_items, NOWHERE, np.int32)
        self._values = np.empty((n_slots, n_features), np.float32)
        self._written = np.empty(n_slots, np.int64)
        self._n_kept = 0
        self._lock = Lock()

    def find(self, item_idx: ItemIdxArray) -> tuple[npt.NDArray[np.bool_], FloatArray, npt.NDArray[np.int64]]:
        """(there, values, written): which of the items are kept, and the rows of those, in their order.

        item_idx: (n,) UNKNOWN (-1) for what is no item; that is never kept.
        """
        with self._lock:
            slots = np.where(item_idx < 0, NOWHERE, self._slot_of[item_idx])
            there = slots != NOWHERE
            return there, self._values[slots[there]], self._written[slots[there]]

    def keep(self, item_idx: ItemIdxArray, values: FloatArray, written: npt.NDArray[np.int64]) -> None:
        """Keep these rows; more than there is room for at all are left alone, as is what is no item."""
        item_idx, first = np.unique(item_idx, return_index=True)
        first, item_idx = first[item_idx >= 0], item_idx[item_idx >= 0]
        with self._lock:
            if len(item_idx) > len(self._values):
                return
            if self._n_kept + len(item_idx) > len(self._values):
                self._slot_of[:], self._n_kept = NOWHERE, 0
            slots = np.arange(self._n_kept, self._n_kept + len(item_idx), dtype=np.int32)
            self._values[slots], self._written[slots] = values[first], written[first]
            self._slot_of[item_idx] = slots
            self._n_kept += len(item_idx)
