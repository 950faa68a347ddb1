"""How much of what exact search finds an index finds; and as much effort as that needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from contracts.errors import DataTooSmall
from contracts.ids import FloatArray
from recommender.allowed_items import AllowedItems
from recommender.index.vector_index import VectorIndex
from recommender.proposals import Proposals
from recommender.ragged import is_among, pair_keys

MEASURED_TOGETHER: Final = 64  # queries


def with_recall(
    index: VectorIndex,
    vectors: FloatArray,
    queries: FloatArray,
    k: int,
    filters: Mapping[str, AllowedItems] | None = None,
    min_recall: float = 0.0,
) -> VectorIndex:
    """The index with its recall at k against exact search over the same vectors; queries: (n_queries, dim).

    filters: by name, each of which the recall is measured under as well. min_recall: while one of them is below it,
    twice the effort is made of a search; where looking at everything is not enough, that is what is measured.
    """
    if not len(queries):
        raise DataTooSmall("There is nobody to measure the index with.", "Bring more data.")
    exact = VectorIndex.exact(vectors, index.ids_fingerprint)
    every: dict[str, AllowedItems | None] = {"": None, **(filters or {})}
    blocks = list(_blocks(queries))
    expected = {name: [exact.search(one, k, allowed=only) for one in blocks] for name, only in every.items()}
    found = partial(_measured, blocks=blocks, k=k, filters=every, expected=expected)
    measured = found(index)
    if measured.is_enough(min_recall):
        return measured
    at_most = found(index.with_effort(len(index.item_idx)))
    while at_most.is_enough(min_recall) and not measured.is_enough(min_recall):
        index = index.with_effort(2 * index.least_effort)
        measured = found(index)
    return measured if at_most.is_enough(min_recall) else at_most


def _measured(
    index: VectorIndex,
    blocks: Sequence[FloatArray],
    k: int,
    filters: Mapping[str, AllowedItems | None],
    expected: Mapping[str, Sequence[Proposals]],
) -> VectorIndex:
    """expected: what exact search finds for each block, by the name of the filter; that of no filter is empty."""
    recalls = {}
    for name, allowed in filters.items():
        found = (index.search(block, k, allowed=allowed) for block in blocks)
        parts = [_recalls(exact, ours) for exact, ours in zip(expected[name], found, strict=True)]
        recalls[name] = float(np.mean(np.concatenate(parts)))
    overall = recalls.pop("")
    return replace(index, recall=overall, recall_k=k, recall_among=recalls)


def _blocks(queries: FloatArray) -> Iterator[FloatArray]:
    return (queries[start : start + MEASURED_TOGETHER] for start in range(0, len(queries), MEASURED_TOGETHER))


def _recalls(exact: Proposals, approximate: Proposals) -> npt.NDArray[np.float64]:
    """(n_queries,) the share of the exact proposals that the others hold too.

    Of the exact ones with the lowest score, any other item of that score does as well: which of equals exact search
    takes for the last places is chance.
    """
    n_queries, n_exact = len(exact), np.diff(exact.offsets)
    worst = np.full(n_queries, np.nan, np.float32)
    worst[n_exact > 0] = exact.scores[exact.offsets[1:][n_exact > 0] - 1]
    also = is_among(pair_keys(exact.rows, exact.item_idx), np.sort(pair_keys(approximate.rows, approximate.item_idx)))
    are_last = exact.scores == worst[exact.rows]
    n_equal = np.bincount(approximate.rows[approximate.scores == worst[approximate.rows]], minlength=n_queries)
    n_last, n_last_also = (np.bincount(exact.rows[of], minlength=n_queries) for of in (are_last, are_last & also))
    n_before = np.bincount(exact.rows[also & ~are_last], minlength=n_queries)
    return (n_before + np.maximum(n_last_also, np.minimum(n_last, n_equal))) / np.maximum(n_exact, 1)
