"""External item ids to dense indices and back; unknown ids are -1, everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import cast

import numpy as np

from contracts.errors import ShapeMismatch
from contracts.fingerprint import fingerprint_json
from contracts.ids import ItemId, ItemIdx, ItemIdxArray

UNKNOWN = -1


@dataclass(frozen=True)
class IdMap:
    """Item ids in the order of their index: `ids[item_idx]` is the external id."""

    ids: tuple[ItemId, ...]
    _index: dict[ItemId, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        index = {item_id: item_idx for item_idx, item_id in enumerate(self.ids)}
        if len(index) != len(self.ids):
            raise ShapeMismatch(
                f"An id map of {len(self.ids)} ids holds only {len(index)} different ones.",
                "Every item id must be there once; look for duplicates in items.parquet.",
            )
        object.__setattr__(self, "_index", index)

    @classmethod
    def of(cls, ids: Iterable[str]) -> IdMap:
        """The map of these ids, in sorted order whatever order they come in."""
        return cls(tuple(sorted({ItemId(item_id) for item_id in ids})))

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._index

    def index(self, item_id: ItemId) -> ItemIdx:
        """The item's index, or UNKNOWN (-1)."""
        return ItemIdx(self._index.get(item_id, UNKNOWN))

    def indices(self, item_ids: Iterable[str]) -> ItemIdxArray:
        """(n,) indices aligned with the ids given, UNKNOWN (-1) where an id is not in the map."""
        get = cast("Callable[[str, int], int]", self._index.get)
        return np.fromiter(map(get, item_ids, repeat(UNKNOWN)), dtype=np.int32)

    def external(self, item_idx: ItemIdxArray | Sequence[int]) -> list[ItemId]:
        """The external ids of these indices, in their order."""
        return [self.ids[position] for position in item_idx]

    @property
    def fingerprint(self) -> str:
        return fingerprint_json(list(self.ids))
