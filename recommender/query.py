"""What is asked of the generators: people at their moments, in dense ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from contracts.features import History
from contracts.id_map import UNKNOWN
from contracts.ids import EpochSeconds, EventCodes, FloatArray, ItemIdxArray
from recommender.allowed_items import AllowedItems
from recommender.ragged import Offsets, RaggedItems, Rows, lengths_of, offsets_of, pair_keys, rows_of


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
    """

    now: int
    history: History = field(default_factory=History.empty)
    segment: dict[str, str] = field(default_factory=dict)
    anchor: int | None = None
    preferred_categories: FloatArray = field(default_factory=lambda: np.empty(0, np.float32))
    preferred_items: ItemIdxArray = field(default_factory=no_items)
    excluded: ItemIdxArray = field(default_factory=no_items)


@dataclass(frozen=True)
class RaggedHistory:
    """The histories of several queries, one after the other; the arrays are as in a `History`."""

    offsets: Offsets
    item_idx: ItemIdxArray
    event_ts: EpochSeconds
    event_types: EventCodes
    values: FloatArray

    @classmethod
    def of(cls, histories: Sequence[History]) -> RaggedHistory:
        """These histories, in the order given."""
        every = [History.empty(), *histories]
        return cls(
            offsets_of([len(history) for history in histories]),
            np.concatenate([history.item_idx for history in every]),
            np.concatenate([history.event_ts for history in every]),
            np.concatenate([history.event_types for history in every]),
            np.concatenate([history.values for history in every]),
        )

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        return lengths_of(self.offsets)

    @cached_property
    def items(self) -> RaggedItems:
        """The items alone."""
        return RaggedItems(self.offsets, self.item_idx)

    @cached_property
    def rows(self) -> Rows:
        return rows_of(self.offsets)

    @cached_property
    def last_ts(self) -> npt.NDArray[np.float64]:
        """(n_queries,) epoch seconds of each one's last event; NaN where there is none."""
        last = np.full(len(self.offsets) - 1, np.nan)
        some = self.lengths > 0
        last[some] = self.event_ts[self.offsets[1:][some] - 1]
        return last


@dataclass(frozen=True)
class QueryBatch:
    """Several queries that are asked together; what one is answered does not depend on the others.

    now: (n,) epoch seconds; segments: n of them; anchors: (n,) dense ids, UNKNOWN (-1) for none;
    preferred_categories: (n, n_categories) or (n, 0) weights; preferred_items, excluded: n rows, those of `excluded`
    ascending and each once. allowed: the items that may be proposed to all of them; None for all items.

    >>> item_4_then_7 = RetrievalQuery(now=0, preferred_items=np.array([4, 7, 4], np.int32))
    >>> beside_item_2 = RetrievalQuery(now=0, preferred_items=np.array([4, 7], np.int32), anchor=2)
    >>> QueryBatch.of([item_4_then_7, beside_item_2]).taste_items.item_idx.tolist()
    [7, 4, 2]
    """

    now: EpochSeconds
    histories: RaggedHistory
    segments: Sequence[Mapping[str, str]]
    anchors: ItemIdxArray
    preferred_categories: FloatArray
    preferred_items: RaggedItems
    excluded: RaggedItems
    allowed: AllowedItems | None = None

    @classmethod
    def of(cls, queries: Sequence[RetrievalQuery], allowed: AllowedItems | None = None) -> QueryBatch:
        """These queries, in the order given."""
        return cls(
            np.array([query.now for query in queries], np.int64),
            RaggedHistory.of([query.history for query in queries]),
            [query.segment for query in queries],
            np.array([UNKNOWN if query.anchor is None else query.anchor for query in queries], np.int32),
            _stacked([query.preferred_categories for query in queries]),
            RaggedItems.of(query.preferred_items for query in queries),
            RaggedItems.of(np.unique(query.excluded) for query in queries),
            allowed,
        )

    def __len__(self) -> int:
        return len(self.now)

    def allowed_of(self, item_idx: ItemIdxArray) -> ItemIdxArray:
        """Those of these items that may be proposed, in their order."""
        return item_idx if self.allowed is None else item_idx[self.allowed.contains(item_idx)]

    @cached_property
    def taste_items(self) -> RaggedItems:
        """The distinct items that speak for what each one wants now, oldest first: by their last mention.

        On an item's page that item alone; elsewhere the stated items and then the history. Unknown items (-1) are
        left out.
        """
        anchored = self.anchors != UNKNOWN
        stated, history = self.preferred_items, self.histories
        rows = np.concatenate([np.flatnonzero(anchored), stated.rows, history.rows])
        items = np.concatenate([self.anchors[anchored], stated.item_idx, history.item_idx])
        spoken = (items >= 0) & ~anchored[rows]
        spoken[: int(anchored.sum())] = True
        rows, items = rows[spoken], items[spoken]
        in_order = np.argsort(rows, kind="stable")
        rows, items = rows[in_order], items[in_order]
        # Reversed, np.unique finds the last mention as the first one.
        _, from_end = np.unique(pair_keys(rows, items)[::-1], return_index=True)
        kept = np.sort(len(rows) - 1 - from_end)
        return RaggedItems.of_rows(rows[kept], items[kept].astype(np.int32, copy=False), len(self))


def _stacked(weights: Sequence[FloatArray]) -> FloatArray:
    """(n, n_categories); a query that states nothing is a row of zeros."""
    stacked = np.zeros((len(weights), max(map(len, weights), default=0)), np.float32)
    for row, stated in enumerate(weights):
        stacked[row, : len(stated)] = stated
    return stacked
