"""The best items for a taste out of the best known of each category, without a walk through all of these.

Each category's head stands in the order of appeal. An item says at most as much as its most wanted category says times
its appeal; so a head is left as soon as what follows cannot be among the k best that were met. A threshold algorithm.

Source: Fagin, Lotem and Naor, "Optimal aggregation algorithms for middleware", PODS 2001.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from contracts.ids import FloatArray, ItemIdxArray
from recommender.catalogue import Catalogue
from recommender.compiled import (
    BYTES,
    COUNTS,
    INDICES,
    SCORES,
    SUMS_TABLE,
    TABLE,
    compiled,
    inlined,
    is_in,
    kept,
    with_room,
)
from recommender.ragged import Offsets, PairKeys, RaggedItems
from recommender.taste import Table

_ALL: Final = np.empty(0, np.uint8)
# What is compared here is rounded otherwise than the score that counts.
_ROUNDING: Final = 1 + 1e-6
_AT_FIRST: Final = 1024  # items there is room for


def near_best_of_heads(
    lift: Table,
    wanted: npt.NDArray[np.int64],
    heads: RaggedItems,
    appeal: FloatArray,
    catalogue: Catalogue,
    excluded: PairKeys,
    allowed: npt.NDArray[np.uint8] | None,
) -> RaggedItems:
    """For each query some items, among them the best of those that it wants.

    An item counts where it stands in the head of the category, of its own, that is wanted most. The best have the
    largest mean lift of their categories times appeal.
    lift: (n_queries, n_categories), not negative; wanted: (n_queries,) how many. heads: by category, its best known
    items in the order of appeal, which is (n_items,). excluded: sorted keys of pairs that are left out; allowed: a bit
    for each item, None for all.
    """
    order = np.argsort(-lift, axis=1, kind="stable")
    bits = _ALL if allowed is None else allowed
    categories = catalogue.category_offsets, catalogue.category_idx
    offsets, item_idx = _near_best(
        lift, order, wanted, heads.offsets, heads.item_idx, appeal, *categories, excluded, bits
    )
    return RaggedItems(offsets, item_idx)


@inlined
def _is_allowed(allowed: Any, item: int) -> bool:  # pragma: no cover - compiled
    return len(allowed) == 0 or (allowed[item >> 3] >> np.uint8(item & 7)) & 1 != 0


@inlined
def _said(
    lift: Any, place_of: Any, category_offsets: Any, category_idx: Any, query: int, item: int
) -> tuple[float, int]:  # pragma: no cover - compiled
    """The mean of what the query's row says of the item's categories, and the place of the one wanted most."""
    start, end = category_offsets[item], category_offsets[item + 1]
    said, first = 0.0, len(place_of)
    for entry in range(start, end):
        said += lift[query, category_idx[entry]]
        first = min(first, place_of[category_idx[entry]])
    return said / (end - start), first


@compiled(SUMS_TABLE, TABLE, COUNTS, COUNTS, INDICES, SCORES, COUNTS, INDICES, COUNTS, BYTES)
def _near_best(
    lift: Table,
    order: npt.NDArray[np.int64],
    wanted: npt.NDArray[np.int64],
    head_offsets: Offsets,
    head_items: ItemIdxArray,
    appeal: FloatArray,
    category_offsets: Offsets,
    category_idx: npt.NDArray[np.int32],
    excluded: PairKeys,
    allowed: npt.NDArray[np.uint8],
) -> tuple[Offsets, ItemIdxArray]:  # pragma: no cover - compiled
    """(offsets, item_idx) of the items that were among the best when they were met.

    order: (n_queries, n_categories) the most wanted first. The best scores so far are a heap of their negatives.
    """
    n_queries, n_categories = order.shape
    offsets, items, n = np.zeros(n_queries + 1, np.int64), np.empty(_AT_FIRST, np.int32), 0
    heap, place_of = np.empty(wanted.max()), np.empty(n_categories, np.int64)
    for query in range(n_queries):
        k, n_best = wanted[query], 0
        for place in range(n_categories if k else 0):
            place_of[order[query, place]] = place
        for place in range(n_categories if k else 0):
            category = order[query, place]
            for at in range(head_offsets[category], head_offsets[category + 1]):
                item = head_items[at]
                least = -heap[0] / _ROUNDING if n_best == k else -1.0
                if lift[query, category] * appeal[item] < least:
                    break
                said, first = _said(lift, place_of, category_offsets, category_idx, query, item)
                is_met_first = first == place  # else in the head of another category, or too little known in that
                if not is_met_first or said * appeal[item] < least or not _is_allowed(allowed, item):
                    continue
                if not is_in(np.int64(query) << 32 | np.int64(item), excluded):
                    items = with_room(items, n, 1)
                    items[n] = item
                    n += 1
                    n_best = kept(heap, n_best, k, -said * appeal[item])
        offsets[query + 1] = n
    return offsets, items[:n]
