"""A table of counters with a row for each 64-bit key: a few dozen bytes a key, where a dict takes hundreds."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

UInt64Array = npt.NDArray[np.uint64]
IntArray = npt.NDArray[np.int64]
UNKNOWN = -1


@lru_cache(maxsize=10_000)  # the items of a slate name its request and person again and again
def key_of(text: str) -> int:
    """64 bits that name a text, the same in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


class KeyedRows:
    """Rows in the order in which their keys came first, all zero at first.

    row: the columns. most: when twice as many are there, the oldest are forgotten down to so many.
    """

    def __init__(self, row: list[tuple[str, str]], most: int | None = None) -> None:
        self._most = most
        self._keys: UInt64Array = np.empty(0, np.uint64)  # sorted
        self._rows: IntArray = np.empty(0, np.int64)  # of each of them
        self._table: npt.NDArray[Any] = np.zeros(1024, np.dtype(row))

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, keys: UInt64Array) -> IntArray:
        """The row of each key; -1 where it never came, or was forgotten."""
        if not len(self._keys):
            return np.full(len(keys), UNKNOWN)
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[at] == keys, self._rows[at], UNKNOWN)

    def add(self, keys: UInt64Array) -> IntArray:
        """The row of each key, new where it never came; rows that were found before may have another number now."""
        fresh, first = np.unique(keys[self.find(keys) == UNKNOWN], return_index=True)
        if len(fresh):
            self._insert(fresh, np.argsort(np.argsort(first)))
            self._forget()
        return self.find(keys)

    def column(self, name: str) -> npt.NDArray[Any]:
        """One column, a view that may be written to until the next `add`."""
        column: npt.NDArray[Any] = self._table[name]
        return column[: len(self)]

    def in_order_of_keys(self) -> tuple[UInt64Array, npt.NDArray[Any]]:
        """Every key, ascending, and a copy of its row beside it."""
        return self._keys, self._table[self._rows]

    def _insert(self, fresh: UInt64Array, order: IntArray) -> None:
        n_before = len(self)
        insert_at = np.searchsorted(self._keys, fresh)
        self._keys = np.insert(self._keys, insert_at, fresh)
        self._rows = np.insert(self._rows, insert_at, n_before + order)
        missing = len(self) - len(self._table)
        if missing > 0:
            grown = max(missing, len(self._table))
            self._table = np.concatenate([self._table, np.zeros(grown, self._table.dtype)])

    def _forget(self) -> None:
        if self._most is None or len(self) < 2 * self._most:
            return
        n_forgotten = len(self) - self._most
        kept = self._table[n_forgotten : len(self)].copy()
        stay = self._rows >= n_forgotten
        self._keys, self._rows, self._table = self._keys[stay], self._rows[stay] - n_forgotten, kept
