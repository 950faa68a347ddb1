"""Item to item: what goes with the items of a history. One way to propose, three ways to learn the neighbours.

covisitation        people who touched this touched that, of late; the mean over the history
covisitation_max    the same over all time; the one item of the history that speaks most for a candidate
next_visit          people who touched this came back for that
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from contracts.artefact import REBUILD, Meta, check_built_with, load_array, load_meta, save_artefact
from contracts.errors import ArtefactError
from contracts.id_map import UNKNOWN
from contracts.ids import FloatArray, ItemIdxArray
from recommender.catalogue import Catalogue
from recommender.proposals import Proposals, best_first
from recommender.query import QueryBatch
from recommender.ragged import (
    ITEM_BITS,
    PairKeys,
    RaggedItems,
    Rows,
    max_by,
    offsets_of,
    pair_keys,
    rows_of,
    spans,
    sum_by,
)

MOST_POOLED_AT_ONCE = 2_000_000  # neighbours
DENSE_BELOW = 4  # cells a neighbour: up to here a sparse product is quicker than sorting what is met


class Pooling(StrEnum):
    """How the items of a history speak together."""

    MEAN = "mean"
    MAX = "max"


@dataclass(frozen=True)
class ItemToItemGenerator:
    """What goes with the items of a history.

    The neighbours of item i, in the order of their index, are neighbours[starts[i]:starts[i+1]]; weights > 0.

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

    @cached_property
    def matrix(self) -> csr_matrix:
        """(n_items, n_items) row i holds what i speaks for; in double precision, as sums are taken."""
        n_items = len(self.starts) - 1
        return csr_matrix((self.weights.astype(np.float64), self.neighbours, self.starts), (n_items, n_items))

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
            values={"history_length": self.history_length, "pooling": self.pooling},
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
        )


@dataclass(frozen=True)
class _Pooled:
    """What the items of each taste say together of the items that they speak for: keys sorted, weights aligned."""

    keys: PairKeys
    weights: FloatArray

    def of_pairs(self, keys: PairKeys) -> FloatArray:
        """(n_pairs,) the weight of each pair of a query and an item, 0 where nothing speaks for it."""
        if not len(self.keys):
            return np.zeros(len(keys), np.float32)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[at] == keys, self.weights[at], np.float32(0))


@dataclass(frozen=True)
class EncodedHistories:
    """Queries by the items that speak for what each one wants. taste: those that the generator knows, the latest."""

    queries: QueryBatch
    generator: ItemToItemGenerator
    taste: RaggedItems

    def propose(self, k: int) -> Proposals:
        keys, weights = self._pooled.keys, self._pooled.weights
        rows, item_idx = keys >> 32, (keys & ITEM_BITS).astype(np.int32)
        if self.queries.allowed is not None:
            allowed = self.queries.allowed.contains(item_idx)
            rows, item_idx, weights = rows[allowed], item_idx[allowed], weights[allowed]
        return best_first(rows, item_idx, weights, len(self.queries), k, self.queries.excluded.keys)

    def score(self, items: RaggedItems) -> FloatArray:
        return np.where(self.taste.lengths[items.rows] > 0, self._pooled.of_pairs(items.keys), np.float32(np.nan))

    def because(self, items: RaggedItems) -> ItemIdxArray:
        """(n_items,) the item of the taste that speaks most for each item; the latest of equals, -1 where none does."""
        lengths = self.taste.lengths[items.rows]
        pair = rows_of(offsets_of(lengths))
        sources = self.taste.item_idx[spans(self.taste.offsets[items.rows], lengths)]
        weights = self._weights(sources, items.item_idx[pair])
        # In the order of weight, and of time among equals: what is written last stays.
        ascending = np.lexsort((weights, pair))
        ascending = ascending[weights[ascending] > 0]
        best = np.full(len(items.item_idx), UNKNOWN, np.int32)
        best[pair[ascending]] = sources[ascending]
        return best

    def _weights(self, sources: ItemIdxArray, item_idx: ItemIdxArray) -> FloatArray:
        """(n,) how much each source speaks for the item beside it, 0 where it does not."""
        generator = self.generator
        low, end = generator.starts[sources], generator.starts[sources + 1]
        high = end.copy()
        while (searching := low < high).any():  # all the binary searches at once
            middle = (low + high) // 2
            before = searching.copy()
            before[searching] = generator.neighbours[middle[searching]] < item_idx[searching]
            low = np.where(before, middle + 1, low)
            high = np.where(searching & ~before, middle, high)
        weights = np.zeros(len(sources), np.float32)
        inside = np.flatnonzero(low < end)
        met = inside[generator.neighbours[low[inside]] == item_idx[inside]]
        weights[met] = generator.weights[low[met]]
        return weights

    @cached_property
    def _pooled(self) -> _Pooled:
        parts = [self._pool(span) for span in self._portions()]
        return _Pooled(np.concatenate([part.keys for part in parts]), np.concatenate([part.weights for part in parts]))

    def _portions(self) -> list[slice]:
        """The items of the tastes, whole queries at a time, so that few neighbours are in memory at once."""
        generator, taste = self.generator, self.taste
        if len(taste) == 1:
            return [slice(None)]
        n_near = generator.starts[taste.item_idx + 1] - generator.starts[taste.item_idx]
        per_query = np.bincount(taste.rows, n_near, len(taste))
        portion = np.cumsum(per_query) // MOST_POOLED_AT_ONCE
        begins = np.flatnonzero(np.diff(portion, prepend=-1.0))
        ends = np.append(begins[1:], len(taste))
        return [slice(taste.offsets[begin], taste.offsets[end]) for begin, end in zip(begins, ends, strict=True)]

    def _pool(self, span: slice) -> _Pooled:
        """What some of the items say together; weights are added up in the order of the taste."""
        generator = self.generator
        n_items = len(generator.starts) - 1
        rows, items = self.taste.rows[span], self.taste.item_idx[span]
        first_row = int(rows[0]) if len(rows) else 0
        n_rows = int(rows[-1]) + 1 - first_row if len(rows) else 0
        n_near = int((generator.starts[items + 1] - generator.starts[items]).sum())
        is_dense = n_rows * n_items <= DENSE_BELOW * n_near
        if is_dense and generator.pooling is Pooling.MEAN and n_rows == 1:
            keys, said = _sums_by_table(*self._entries(rows - first_row, items), n_items)
        elif is_dense and generator.pooling is Pooling.MEAN:
            keys, said = _sums_by_product(rows - first_row, items, n_rows, generator.matrix)
        elif is_dense:
            keys, said = _largest_by_table(*self._entries(rows - first_row, items), n_rows, n_items)
        else:
            keys, said = _pooled_by_sorting(*self._entries(rows - first_row, items), generator.pooling)
        keys = keys + (first_row << 32)
        weights = said / self.taste.lengths[keys >> 32] if generator.pooling is Pooling.MEAN else said
        return _Pooled(keys, weights.astype(np.float32))

    def _entries(self, rows: Rows, items: ItemIdxArray) -> tuple[PairKeys, FloatArray]:
        """What each item says: keys of a row and a neighbour, in the order of the items, and the weights."""
        generator = self.generator
        starts, ends = generator.starts[items], generator.starts[items + 1]
        near = [slice(start, end) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        neighbours = _joined(generator.neighbours, near)
        return np.repeat(rows << 32, ends - starts) | neighbours, _joined(generator.weights, near)


def _joined(values: npt.NDArray[Any], parts: Sequence[slice]) -> npt.NDArray[Any]:
    """These parts of the values, one after the other; copied whole, in a third of the time of an index for each."""
    return np.concatenate([values[:0], *(values[part] for part in parts)])


def _sums_by_product(
    rows: Rows, items: ItemIdxArray, n_rows: int, neighbours: csr_matrix
) -> tuple[PairKeys, npt.NDArray[np.float64]]:
    """The pairs that are met, ascending, and the sum of their weights in the order given, by a sparse product.

    It takes a table of the catalogue's length, which is nothing beside so many neighbours.
    """
    offsets = offsets_of(np.bincount(rows, minlength=n_rows))
    taste = csr_matrix((np.ones(len(items)), items, offsets), (n_rows, neighbours.shape[0]))
    met = taste @ neighbours
    met.sort_indices()
    return pair_keys(rows_of(met.indptr.astype(np.int64)), met.indices), met.data


def _sums_by_table(keys: PairKeys, weights: FloatArray, n_items: int) -> tuple[PairKeys, npt.NDArray[np.float64]]:
    """The same for one query: what a product of SciPy costs before it begins is more than its work here."""
    table = np.bincount(keys, weights, n_items).astype(np.float64, copy=False)
    cells = np.flatnonzero(table)
    return cells, table[cells]


def _largest_by_table(
    keys: PairKeys, weights: FloatArray, n_rows: int, n_items: int
) -> tuple[PairKeys, npt.NDArray[np.float64]]:
    """The pairs that are met, ascending, and the largest of their weights, which are above 0."""
    table = np.zeros(n_rows * n_items, np.float32)
    np.maximum.at(table, (keys >> 32) * n_items + (keys & ITEM_BITS), weights)
    cells = np.flatnonzero(table)
    return pair_keys(cells // n_items, cells % n_items), table[cells].astype(np.float64)


def _pooled_by_sorting(
    keys: PairKeys, weights: FloatArray, pooling: Pooling
) -> tuple[PairKeys, npt.NDArray[np.float64]]:
    """The same as by a product or a table, by sorting what is met: nothing is of the catalogue's length."""
    met, pair = np.unique(keys, return_inverse=True)
    pool = sum_by if pooling is Pooling.MEAN else max_by
    return met, pool(pair, weights, len(met))


def _check_spans(folder: Path, starts: npt.NDArray[np.int64], neighbours: ItemIdxArray, n_items: int) -> None:
    """Refuse neighbours that are no items: pooling takes memory for the largest index it meets."""
    in_order = starts[0] == 0 and starts[-1] == len(neighbours) and bool((np.diff(starts) >= 0).all())
    if not in_order or (len(neighbours) and not 0 <= neighbours.min() <= neighbours.max() < n_items):
        raise ArtefactError(
            f"{folder} is damaged: its {len(neighbours)} neighbours are not all of the {n_items} items, or of one item "
            "after the other.",
            REBUILD,
        )
