"""Merging what the generators propose into one set of candidates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contracts.errors import SettingsError
from contracts.ids import FloatArray, ItemIdxArray
from recommender.generators.base import EncodedQueries, Generator
from recommender.proposals import Proposals
from recommender.query import QueryBatch
from recommender.ragged import ITEM_BITS, RaggedItems, Rows, offsets_of, pair_keys, places_of


@dataclass(frozen=True)
class CandidateSet:
    """The candidates of several queries, one query's after the other's; arrays aligned with `items.item_idx`.

    scores: (n, n_generators) each generator's score, NaN where it has no opinion; columns as `names`.
    ranks: (n, n_generators) 1 for a generator's best proposal, its quota + 1 where it did not propose the item.
    proposed: (n, n_generators) True where a generator proposed the item.
    sources: (n,) column of the generator that placed the item best, the first one where several did.
    A query's rows are in the order of their best rank, and then of item_idx.
    """

    items: RaggedItems
    scores: FloatArray
    ranks: FloatArray
    proposed: npt.NDArray[np.bool_]
    sources: npt.NDArray[np.int32]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.item_idx)

    @property
    def item_idx(self) -> ItemIdxArray:
        return self.items.item_idx

    @property
    def rows(self) -> Rows:
        """(n,) the query of each candidate."""
        return self.items.rows

    def scores_of(self, name: str) -> FloatArray:
        """(n,) what one generator said; NaN where it was not asked."""
        if name not in self.names:
            return np.full(len(self), np.nan, np.float32)
        column: FloatArray = self.scores[:, self.names.index(name)]
        return column


def encode_all(generators: Mapping[str, Generator], queries: QueryBatch) -> dict[str, EncodedQueries]:
    """What the queries say to each generator, by name."""
    return {name: generator.encode(queries) for name, generator in generators.items()}


def gather(
    encoded: Mapping[str, EncodedQueries], queries: QueryBatch, quotas: Mapping[str, int], n_ranked: int
) -> CandidateSet:
    """Ask every generator for its quota, and keep at most n_ranked of each query's union, best placed first.

    encoded: of the queries (`encode_all`). A generator with quota 0, or none, proposes nothing but still scores. The
    order of `encoded` does not matter.
    Raises SettingsError when a quota names no generator.
    """
    _check_names(encoded, quotas)
    names = tuple(sorted(encoded))
    quota = {name: quotas.get(name, 0) for name in names}
    proposals = [encoded[name].propose(quota[name]) if quota[name] else Proposals.none(len(queries)) for name in names]
    keys = [pair_keys(best.rows, best.item_idx) for best in proposals]
    union = np.unique(np.concatenate([np.empty(0, np.int64), *keys]))
    outside = np.array([quota[name] + 1 for name in names], np.float32)
    ranks = np.tile(outside, (len(union), 1))
    for column, best in enumerate(proposals):
        ranks[np.searchsorted(union, keys[column]), column] = best.ranks
    proposed = ranks < outside
    kept, sources = _best_placed(union >> 32, ranks, proposed, n_ranked)
    items = RaggedItems.of_rows(union[kept] >> 32, (union[kept] & ITEM_BITS).astype(np.int32), len(queries))
    scores = [encoded[name].score(items) for name in names]
    return CandidateSet(items, _columns(scores, len(kept)), ranks[kept], proposed[kept], sources, names)


def _best_placed(
    rows: Rows, ranks: FloatArray, proposed: npt.NDArray[np.bool_], n_kept: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int32]]:
    if not ranks.size:
        return np.empty(0, np.intp), np.empty(0, np.int32)
    place = np.where(proposed, ranks, np.inf)
    ordered = np.lexsort((place.min(axis=1), rows))  # stable: equal places in the order of the item
    offsets = offsets_of(np.bincount(rows))
    kept = ordered[places_of(offsets) < n_kept]
    return kept, place[kept].argmin(axis=1).astype(np.int32)


def _columns(columns: list[FloatArray], n_rows: int) -> FloatArray:
    return np.stack(columns, axis=1) if columns else np.empty((n_rows, 0), np.float32)


def _check_names(generators: Mapping[str, EncodedQueries], quotas: Mapping[str, int]) -> None:
    unknown = sorted(set(quotas) - set(generators))
    if unknown:
        raise SettingsError(
            f"request.quotas names {', '.join(unknown)}; the generators are {', '.join(sorted(generators))}.",
            "Mend request.quotas in params.yaml, or run `dvc repro candidates` to fit the generators again.",
        )
