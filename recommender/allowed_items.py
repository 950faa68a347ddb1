"""Which items of a catalogue may be proposed: one bit for each, and what generators make of that for themselves."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, TypeVar, cast

import numpy as np
import numpy.typing as npt

from contracts.ids import ItemIdxArray

Bits = npt.NDArray[np.uint8]  # item i is bit i % 8 of byte i // 8, as FAISS has it
Kept = TypeVar("Kept")

MOST_KEPT: Final = 256  # of what generators make of one filter: a list for each, and for each segment of people
FIRST_WALK: Final = 4096  # entries of a list that are looked at before twice as many


@dataclass(frozen=True)
class AllowedItems:
    """The items that a filter lets through. bits: one for each of n_items, the last byte filled up with zeros.

    >>> allowed = AllowedItems.of(np.array([True, False, True, False]))
    >>> allowed.contains(np.array([0, 1, 2], np.int32)).tolist(), allowed.n_allowed, allowed.item_idx.tolist()
    ([True, False, True], 2, [0, 2])
    """

    bits: Bits
    n_items: int
    _kept: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, mask: npt.NDArray[np.bool_]) -> AllowedItems:
        """mask: (n_items,) True where an item may be proposed."""
        return cls(np.packbits(mask, bitorder="little"), len(mask))

    @cached_property
    def n_allowed(self) -> int:
        return int(np.bitwise_count(self.bits).sum(dtype=np.int64))

    @property
    def item_idx(self) -> ItemIdxArray:
        """(n_allowed,) the items, ascending; made anew each time, for it may be as long as the catalogue."""
        mask = np.unpackbits(self.bits, count=self.n_items, bitorder="little")
        return np.flatnonzero(mask).astype(np.int32)

    def contains(self, item_idx: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.bool_]:
        """(n,) whether each of these items of the catalogue may be proposed."""
        shifted = self.bits[item_idx >> 3] >> (item_idx & 7).astype(np.uint8)
        return np.asarray(shifted & 1, bool)

    def first_of(self, ordered: ItemIdxArray, n: int) -> ItemIdxArray:
        """The first n of these items that may be proposed, in their order; walks no further than they lie."""
        found: list[ItemIdxArray] = []
        start, length, n_found = 0, FIRST_WALK, 0
        while n_found < n and start < len(ordered):
            part = ordered[start : start + length]
            found.append(part[self.contains(part)])
            n_found += len(found[-1])
            start, length = start + length, 2 * length
        return np.concatenate([ordered[:0], *found])[:n]

    def kept(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """What `make` gives, made once for as long as this filter is kept. key: who asks, and for what."""
        if key in self._kept:
            return cast("Kept", self._kept[key])
        made = make()
        if len(self._kept) < MOST_KEPT:
            self._kept[key] = made
        return made
