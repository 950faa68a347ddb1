"""Item to item: what goes with the items of a history. One way to propose, three ways to learn the neighbours.

covisitation        people who touched this touched that, of late; the mean over the history
covisitation_max    the same over all time; the one item of the history that speaks most for a candidate
next_visit          people who touched this came back for that
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from contracts.artefact import REBUILD, Meta, check_built_with, load_array, load_meta, save_artefact
from contracts.errors import ArtefactError
from contracts.id_map import UNKNOWN
from contracts.ids import FloatArray, ItemIdxArray
from recommender.catalogue import Catalogue
from recommender.compiled import COUNTS, FLAG, INDICES, NUMBER, SCORES, SUMS, compiled, first_not_below, inlined
from recommender.proposals import Proposals, best_first
from recommender.query import QueryBatch
from recommender.ragged import ITEM_BITS, Offsets, RaggedItems, rows_of, sum_by, weights_by_step

SPREAD = 0x9E3779B1  # 2**32 over the golden ratio, odd: neighbouring items come far apart (Knuth, vol. 3, 6.4)


class Pooling(StrEnum):
    """How the items of a history speak together."""

    MEAN = "mean"
    MAX = "max"


@dataclass(frozen=True)
class ItemToItemGenerator:
    """What goes with the items of a history.

    The neighbours of item i, in the order of their index, are neighbours[starts[i]:starts[i+1]]; weights > 0.
    step_weight: the item n steps back from the latest counts step_weight ** n; 1: all of a history count alike.

    Item 0 goes with item 2, and a little with item 1:

    >>> from recommender.query import RetrievalQuery
    >>> generator = ItemToItemGenerator(
    ...     name="covisitation",
    ...     starts=np.array([0, 2, 2, 2]),
    ...     neighbours=np.array([1, 2], np.int32),
    ...     weights=np.array([0.1, 0.7], np.float32),
    ...     pooling=Pooling.MEAN,
    ...     history_length=10,
    ...     catalogue_fingerprint="ids of three items",
    ... )
    >>> generator.encode(QueryBatch.of([RetrievalQuery(now=0, anchor=0)])).propose(k=2).item_idx.tolist()
    [2, 1]
    """

    name: str
    starts: npt.NDArray[np.int64]
    neighbours: ItemIdxArray
    weights: FloatArray
    pooling: Pooling
    history_length: int
    catalogue_fingerprint: str
    step_weight: float = 1.0

    def encode(self, queries: QueryBatch) -> EncodedHistories:
        items = queries.taste_items
        taste = items.where(items.item_idx < len(self.starts) - 1).latest(self.history_length)
        return EncodedHistories(queries, self, taste)

    def save(self, folder: Path) -> Meta:
        return save_artefact(
            folder,
            f"generator-{self.name}",
            built_with={"catalogue ids": self.catalogue_fingerprint},
            arrays={"starts": self.starts, "neighbours": self.neighbours, "weights": self.weights},
            values={"history_length": self.history_length, "pooling": self.pooling, "step_weight": self.step_weight},
        )

    @classmethod
    def load(cls, folder: Path, catalogue: Catalogue, name: str) -> ItemToItemGenerator:
        """Read what `save` wrote; raises ReleaseMismatch when it was fitted on other item ids."""
        meta = load_meta(folder, f"generator-{name}")
        check_built_with(f"generator {folder}", meta.built_with, "catalogue ids", catalogue.ids.fingerprint)
        starts = load_array(folder, "starts", np.int64, (len(catalogue) + 1,))
        neighbours = load_array(folder, "neighbours", np.int32, (None,))
        _check_spans(folder, starts, neighbours, len(catalogue))
        return cls(
            name,
            starts,
            neighbours,
            load_array(folder, "weights", np.float32, (len(neighbours),)),
            Pooling(meta.values["pooling"]),
            int(meta.values["history_length"]),
            catalogue.ids.fingerprint,
            float(meta.values.get("step_weight", 1.0)),  # bundles of format 5 and before have none
        )


@dataclass(frozen=True)
class _Pooled:
    """What the items of each taste say together: a table for each query, of the items that they speak for.

    Query q's table is slots bounds[q] to bounds[q + 1]. item: (n_slots,) the item in each slot, UNKNOWN where it is
    empty; said: (n_slots,) the sum, or the largest, of the weights.
    """

    bounds: Offsets
    item: ItemIdxArray
    said: npt.NDArray[np.float64]


@dataclass(frozen=True)
class EncodedHistories:
    """Queries by the items that speak for what each one wants. taste: those that the generator knows, the latest."""

    queries: QueryBatch
    generator: ItemToItemGenerator
    taste: RaggedItems

    def propose(self, k: int) -> Proposals:
        pooled = self._pooled
        item_idx, weights, offsets = _spoken_for(pooled.bounds, pooled.item, pooled.said, self._divisors)
        rows = rows_of(offsets)
        if self.queries.allowed is not None:
            allowed = self.queries.allowed.contains(item_idx)
            rows, item_idx, weights = rows[allowed], item_idx[allowed], weights[allowed]
        return best_first(rows, item_idx, weights, len(self.queries), k, self.queries.excluded.keys)

    def score(self, items: RaggedItems) -> FloatArray:
        pooled, n_items = self._pooled, len(self.generator.starts) - 1
        return _looked_up(
            items.offsets, items.item_idx, pooled.bounds, pooled.item, pooled.said, self._divisors, n_items
        )

    def because(self, items: RaggedItems) -> ItemIdxArray:
        """(n_items,) the item of the taste that speaks most for each item; the latest of equals, -1 where none does."""
        generator, taste = self.generator, self.taste
        return _speaks_most(
            items.offsets,
            items.item_idx,
            taste.offsets,
            taste.item_idx,
            generator.starts,
            generator.neighbours,
            generator.weights,
        )

    @cached_property
    def _divisors(self) -> npt.NDArray[np.float64]:
        """(n_queries,) what the sums are divided by; 0 where nothing is known of a taste."""
        if self.generator.pooling is Pooling.MAX:
            return np.minimum(self.taste.lengths, 1).astype(np.float64)
        return sum_by(self.taste.rows, self._step_weights, len(self.taste))

    @cached_property
    def _step_weights(self) -> npt.NDArray[np.float64]:
        """(n_taste,) how much each item of the tastes counts, by the steps back from the latest."""
        return weights_by_step(self.taste.offsets, self.generator.step_weight)

    @cached_property
    def _pooled(self) -> _Pooled:
        generator, taste = self.generator, self.taste
        bounds, item, said = _pool(
            taste.offsets,
            taste.item_idx,
            self._step_weights,
            generator.starts,
            generator.neighbours,
            generator.weights,
            generator.pooling is Pooling.MEAN,
        )
        return _Pooled(bounds, item, said)


@inlined
def _slot(item: int, n_slots: int, n_items: int) -> int:  # pragma: no cover - compiled
    """Where the search for an item begins: with a slot for every item, its own; else one that spreads them."""
    if n_slots >= n_items:
        return item
    return (((item * SPREAD) & ITEM_BITS) * n_slots) >> 32


@compiled(COUNTS, INDICES, SUMS, COUNTS, INDICES, SCORES, FLAG)
def _pool(
    taste_offsets: Offsets,
    taste_items: ItemIdxArray,
    step_weights: npt.NDArray[np.float64],
    starts: Offsets,
    neighbours: ItemIdxArray,
    weights: FloatArray,
    is_mean: bool,
) -> tuple[Offsets, ItemIdxArray, npt.NDArray[np.float64]]:  # pragma: no cover - compiled
    """The fields of _Pooled. A table has twice as many slots as neighbours are met, or one for each item.

    Weights are added up in the order of the taste.
    """
    n_queries, n_items = len(taste_offsets) - 1, len(starts) - 1
    bounds = np.zeros(n_queries + 1, np.int64)
    for query in range(n_queries):
        n_near = 0
        for at in range(taste_offsets[query], taste_offsets[query + 1]):
            n_near += starts[taste_items[at] + 1] - starts[taste_items[at]]
        bounds[query + 1] = bounds[query] + min(2 * n_near, n_items)
    slot_item = np.full(bounds[-1], UNKNOWN, np.int32)
    said = np.zeros(bounds[-1])
    for query in range(n_queries):
        first, n_slots = bounds[query], bounds[query + 1] - bounds[query]
        for at in range(taste_offsets[query], taste_offsets[query + 1]):
            for near in range(starts[taste_items[at]], starts[taste_items[at] + 1]):
                item = neighbours[near]
                slot = _slot(item, n_slots, n_items)
                while slot_item[first + slot] != item and slot_item[first + slot] != UNKNOWN:
                    slot = slot + 1 if slot + 1 < n_slots else 0
                slot_item[first + slot] = item
                weight = step_weights[at] * weights[near]
                if is_mean:
                    said[first + slot] += weight
                else:
                    said[first + slot] = max(said[first + slot], weight)
    return bounds, slot_item, said


@compiled(COUNTS, INDICES, SUMS, SUMS)
def _spoken_for(
    bounds: Offsets, slot_item: ItemIdxArray, said: npt.NDArray[np.float64], divisors: npt.NDArray[np.float64]
) -> tuple[ItemIdxArray, FloatArray, Offsets]:  # pragma: no cover - compiled
    """(item_idx, weights, offsets) the items in the tables, and how much is said for each."""
    item_idx, weights = np.empty(len(slot_item), np.int32), np.empty(len(slot_item), np.float32)
    offsets = np.zeros(len(bounds), np.int64)
    n = 0
    for query in range(len(bounds) - 1):
        for slot in range(bounds[query], bounds[query + 1]):
            if slot_item[slot] != UNKNOWN:
                item_idx[n] = slot_item[slot]
                weights[n] = said[slot] / divisors[query]
                n += 1
        offsets[query + 1] = n
    return item_idx[:n], weights[:n], offsets


@compiled(COUNTS, INDICES, COUNTS, INDICES, SUMS, SUMS, NUMBER)
def _looked_up(
    offsets: Offsets,
    item_idx: ItemIdxArray,
    bounds: Offsets,
    slot_item: ItemIdxArray,
    said: npt.NDArray[np.float64],
    divisors: npt.NDArray[np.float64],
    n_items: int,
) -> FloatArray:  # pragma: no cover - compiled
    """(n_items,) how much is said for each item of each query, 0 for one that is in no slot; NaN without a taste."""
    scores = np.zeros(len(item_idx), np.float32)
    for query in range(len(bounds) - 1):
        first, n_slots = bounds[query], bounds[query + 1] - bounds[query]
        for at in range(offsets[query], offsets[query + 1]):
            if not divisors[query]:
                scores[at] = np.nan
            elif n_slots:
                slot = _slot(item_idx[at], n_slots, n_items)
                while slot_item[first + slot] != item_idx[at] and slot_item[first + slot] != UNKNOWN:
                    slot = slot + 1 if slot + 1 < n_slots else 0
                if slot_item[first + slot] != UNKNOWN:
                    scores[at] = said[first + slot] / divisors[query]
    return scores


@compiled(COUNTS, INDICES, COUNTS, INDICES, COUNTS, INDICES, SCORES)
def _speaks_most(
    offsets: Offsets,
    item_idx: ItemIdxArray,
    taste_offsets: Offsets,
    taste_items: ItemIdxArray,
    starts: Offsets,
    neighbours: ItemIdxArray,
    weights: FloatArray,
) -> ItemIdxArray:  # pragma: no cover - compiled
    """(n_items,) the item of each query's taste that has the largest weight for each of its items."""
    best = np.full(len(item_idx), UNKNOWN, np.int32)
    for query in range(len(offsets) - 1):
        for at in range(offsets[query], offsets[query + 1]):
            most = np.float32(0)
            for taste in range(taste_offsets[query], taste_offsets[query + 1]):
                source = taste_items[taste]
                end = starts[source + 1]
                found = first_not_below(neighbours, starts[source], end, item_idx[at])
                if found < end and neighbours[found] == item_idx[at] and weights[found] >= most:
                    most, best[at] = weights[found], source
    return best


def _check_spans(folder: Path, starts: npt.NDArray[np.int64], neighbours: ItemIdxArray, n_items: int) -> None:
    """Refuse neighbours that are no items: pooling takes memory for the largest index it meets."""
    in_order = starts[0] == 0 and starts[-1] == len(neighbours) and bool((np.diff(starts) >= 0).all())
    if not in_order or (len(neighbours) and not 0 <= neighbours.min() <= neighbours.max() < n_items):
        raise ArtefactError(
            f"{folder} is damaged: its {len(neighbours)} neighbours are not all of the {n_items} items, or of one item "
            "after the other.",
            REBUILD,
        )
