"""What is asked of the generators: one person at one moment, in dense ids."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from contracts.features import History
from contracts.ids import FloatArray, ItemIdxArray


def no_items() -> ItemIdxArray:
    """An empty array of item indices."""
    return np.empty(0, np.int32)


@dataclass(frozen=True)
class RetrievalQuery:
    """One person at one moment.

    now: epoch seconds. history: what they did, oldest first, the session's events last.
    segment: `age_band`, `gender`, `occupation`, `device`, `day_part`, `entry_page` where known (see segments).
    anchor: the item whose page is shown, or None. preferred_categories: (n_categories,) or of length zero; weights.
    preferred_items, excluded: dense ids; excluded items are never proposed.

    >>> RetrievalQuery(now=0, preferred_items=np.array([4, 7, 4], np.int32)).taste_items().tolist()
    [7, 4]
    >>> RetrievalQuery(now=0, preferred_items=np.array([4, 7], np.int32), anchor=2).taste_items().tolist()
    [2]
    """

    now: int
    history: History = field(default_factory=History.empty)
    segment: dict[str, str] = field(default_factory=dict)
    anchor: int | None = None
    preferred_categories: FloatArray = field(default_factory=lambda: np.empty(0, np.float32))
    preferred_items: ItemIdxArray = field(default_factory=no_items)
    excluded: ItemIdxArray = field(default_factory=no_items)

    def taste_items(self, latest: int | None = None) -> ItemIdxArray:
        """The distinct items that speak for what is wanted now, oldest first, at most the `latest` ones.

        On an item's page that item alone; elsewhere the stated items and then the history. Unknown items (-1) are
        left out.
        """
        if self.anchor is not None:
            items = np.array([self.anchor], np.int32)
        else:
            items = np.concatenate([self.preferred_items, self.history.item_idx])
        items = items[items >= 0]
        # The last mention of an item counts: reversed, np.unique finds it as the first one.
        _, first = np.unique(items[::-1], return_index=True)
        distinct: ItemIdxArray = items[::-1][np.sort(first)][::-1].astype(np.int32, copy=False)
        return distinct if latest is None else distinct[max(len(distinct) - latest, 0) :]
