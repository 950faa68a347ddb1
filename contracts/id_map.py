"""External item ids to dense indices and back; unknown ids are -1, everywhere."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, field
from functools import cached_property
from itertools import repeat
from pathlib import Path
from typing import Any, cast, overload

import numpy as np
import numpy.typing as npt

from contracts.artefact import load_array
from contracts.errors import ShapeMismatch
from contracts.ids import ItemId, ItemIdx, ItemIdxArray
from contracts.texts import Texts

UNKNOWN = -1
NAMES_PER_ID = 0.5  # where more are looked up at once than this, a dict of all ids is the quicker way, built with it

Slots = npt.NDArray[np.int32]


@dataclass(frozen=True)
class IdMap:
    """Item ids in the order of their index: `ids[item_idx]` is the external id. No id is there twice.

    saved_slots: `slots`, where they were saved.
    """

    ids: Texts
    saved_slots: Slots | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, ids: Iterable[str]) -> IdMap:
        """The map of these ids, in sorted order whatever order they come in."""
        return cls(Texts.of(sorted(set(ids))))

    @classmethod
    def in_order(cls, ids: Sequence[str]) -> IdMap:
        """The map of these ids, in their order; raises ShapeMismatch where one is there twice."""
        n_different = len(set(ids))
        if n_different != len(ids):
            raise ShapeMismatch(
                f"An id map of {len(ids)} ids holds only {n_different} different ones.",
                "Every item id must be there once; look for duplicates in items.parquet.",
            )
        return cls(Texts.of(ids))

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, item_id: object) -> bool:
        return isinstance(item_id, str) and self.index(ItemId(item_id)) != UNKNOWN

    def index(self, item_id: ItemId) -> ItemIdx:
        """The item's index, or UNKNOWN (-1)."""
        return ItemIdx(next(self._looked_up([item_id])))

    def indices(self, item_ids: Iterable[str]) -> ItemIdxArray:
        """(n,) indices aligned with the ids given, UNKNOWN (-1) where an id is not in the map."""
        if isinstance(item_ids, NamedItems) and item_ids.ids is self:
            return item_ids.item_idx
        names = item_ids if isinstance(item_ids, Sized) else list(item_ids)
        if len(names) <= NAMES_PER_ID * len(self):
            return np.fromiter(self._looked_up(names), np.int32)
        get = cast("Callable[[str, int], int]", self._index.get)
        return np.fromiter(map(get, names, repeat(UNKNOWN)), np.int32)

    def external(self, item_idx: ItemIdxArray | Sequence[int]) -> list[ItemId]:
        """The external ids of these indices, in their order."""
        return cast("list[ItemId]", self.ids.at(item_idx))

    def named(self, item_idx: ItemIdxArray) -> NamedItems:
        """The same, where who takes them may need no ids at all: each is looked up when one of them is."""
        return NamedItems(self, item_idx)

    @property
    def fingerprint(self) -> str:
        return self.ids.fingerprint

    @cached_property
    def slots(self) -> Slots:
        """A hash table of the ids, with room for twice as many: the index of the id in each slot, or UNKNOWN.

        An id stands in the slot of its CRC-32, or in the next one that was free.
        """
        return _slots_of(self.ids) if self.saved_slots is None else self.saved_slots

    @cached_property
    def _index(self) -> dict[str, int]:
        return {item_id: item_idx for item_idx, item_id in enumerate(self.ids)}

    def _looked_up(self, names: Iterable[str]) -> Iterator[int]:
        # As memoryviews: a number of an array takes several times as long to read.
        slots, offsets, utf8 = self.slots.data, self.ids.offsets.data, self.ids.utf8.data
        last = len(slots) - 1
        for name in names:
            key = name.encode(errors="surrogatepass")  # half a character, which no id has, is an unknown one
            slot = zlib.crc32(key) & last
            while (item_idx := slots[slot]) != UNKNOWN and utf8[offsets[item_idx] : offsets[item_idx + 1]] != key:
                slot = (slot + 1) & last
            yield item_idx

    def arrays(self, name: str) -> dict[str, npt.NDArray[Any]]:
        """The arrays of an artefact that hold the map under a name."""
        return {**self.ids.arrays(name), f"{name}_slots": self.slots}

    @classmethod
    def load(cls, folder: Path, name: str) -> IdMap:
        """The map that an artefact holds under a name; raises ArtefactError or ValueError where it holds none."""
        ids = Texts.load(folder, name)
        slots = load_array(folder, f"{name}_slots", np.int32, (_n_slots(len(ids)),))
        # A free slot ends each search; a search that met none would never end.
        if slots.min() != UNKNOWN or slots.max() >= len(ids):
            raise ValueError(f"{name} has slots of {slots.min()} to {slots.max()}, of {len(ids)} ids")
        return cls(ids, slots)


class NamedItems(Sequence[ItemId]):
    """Ids of items whose indices are known. `ids.indices` of them costs nothing, in the map `ids`."""

    def __init__(self, ids: IdMap, item_idx: ItemIdxArray) -> None:
        self.ids = ids
        self.item_idx = item_idx

    def __len__(self) -> int:
        return len(self.item_idx)

    @overload
    def __getitem__(self, at: int) -> ItemId: ...
    @overload
    def __getitem__(self, at: slice) -> list[ItemId]: ...
    def __getitem__(self, at: int | slice) -> ItemId | list[ItemId]:
        return self._names[at]

    def __iter__(self) -> Iterator[ItemId]:
        return iter(self._names)

    @cached_property
    def _names(self) -> list[ItemId]:
        return self.ids.external(self.item_idx)


def _n_slots(n_ids: int) -> int:
    """The smallest power of two above twice as many."""
    return 1 << (2 * n_ids).bit_length()


def _slots_of(ids: Texts) -> Slots:
    """`IdMap.slots` of ids that are all different. Of ids that come to one free slot together, the first takes it."""
    slots = np.full(_n_slots(len(ids)), UNKNOWN, np.int32)
    left = np.arange(len(ids), dtype=np.int32)
    wanted = np.fromiter((zlib.crc32(text.encode()) for text in ids), np.int64, len(ids)) & (len(slots) - 1)
    while len(left):
        first_last = np.flatnonzero(slots[wanted] == UNKNOWN)[::-1]  # of several values for a slot, the last one stays
        slots[wanted[first_last]] = left[first_last]
        turned_away = slots[wanted] != left
        left, wanted = left[turned_away], (wanted[turned_away] + 1) & (len(slots) - 1)
    return slots
