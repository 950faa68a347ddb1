"""Merging what the generators propose into one set of candidates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contracts.errors import SettingsError
from contracts.ids import FloatArray, ItemIdxArray
from recommender.generators.base import Generator
from recommender.proposals import Proposals
from recommender.query import RetrievalQuery


@dataclass(frozen=True)
class CandidateSet:
    """The candidates of one query; rows aligned with `item_idx`, columns with `names`.

    scores: (n, n_generators) each generator's score, NaN where it has no opinion.
    ranks: (n, n_generators) 1 for a generator's best proposal, its quota + 1 where it did not propose the item.
    proposed: (n, n_generators) True where a generator proposed the item.
    sources: (n,) column of the generator that placed the item best, the first one where several did.
    Rows are in the order of their best rank, and then of item_idx.
    """

    item_idx: ItemIdxArray
    scores: FloatArray
    ranks: FloatArray
    proposed: npt.NDArray[np.bool_]
    sources: npt.NDArray[np.int32]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.item_idx)

    def source_names(self) -> list[str]:
        """The name of the generator each candidate came from."""
        return [self.names[source] for source in self.sources]

    def scores_of(self, name: str) -> FloatArray:
        """(n,) what one generator said; NaN where it was not asked."""
        if name not in self.names:
            return np.full(len(self), np.nan, np.float32)
        column: FloatArray = self.scores[:, self.names.index(name)]
        return column


def gather(
    generators: Mapping[str, Generator], query: RetrievalQuery, quotas: Mapping[str, int], n_ranked: int
) -> CandidateSet:
    """Ask every generator for its quota, and keep at most n_ranked of the union, best placed first.

    A generator with quota 0, or none, proposes nothing but still scores. The order of `generators` does not matter.
    Raises SettingsError when a quota names no generator.
    """
    _check_names(generators, quotas)
    names = tuple(sorted(generators))
    quota = {name: quotas.get(name, 0) for name in names}
    proposals = [generators[name].propose(query, quota[name]) if quota[name] else Proposals.none() for name in names]
    union = np.unique(np.concatenate([np.empty(0, np.int32), *(best.item_idx for best in proposals)]))
    outside = np.array([quota[name] + 1 for name in names], np.float32)
    ranks = np.tile(outside, (len(union), 1))
    for column, best in enumerate(proposals):
        ranks[np.searchsorted(union, best.item_idx), column] = np.arange(1, len(best) + 1)
    proposed = ranks < outside
    kept, sources = _best_placed(ranks, proposed, n_ranked)
    item_idx = union[kept].astype(np.int32, copy=False)
    scores = [generators[name].score(query, item_idx) for name in names]
    return CandidateSet(item_idx, _columns(scores, len(item_idx)), ranks[kept], proposed[kept], sources, names)


def _best_placed(
    ranks: FloatArray, proposed: npt.NDArray[np.bool_], n_kept: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int32]]:
    if not ranks.size:
        return np.empty(0, np.intp), np.empty(0, np.int32)
    place = np.where(proposed, ranks, np.inf)
    kept = np.argsort(place.min(axis=1), kind="stable")[:n_kept]
    return kept, place[kept].argmin(axis=1).astype(np.int32)


def _columns(columns: list[FloatArray], n_rows: int) -> FloatArray:
    return np.stack(columns, axis=1) if columns else np.empty((n_rows, 0), np.float32)


def _check_names(generators: Mapping[str, Generator], quotas: Mapping[str, int]) -> None:
    unknown = sorted(set(quotas) - set(generators))
    if unknown:
        raise SettingsError(
            f"request.quotas names {', '.join(unknown)}; the generators are {', '.join(sorted(generators))}.",
            "Mend request.quotas in params.yaml, or run `dvc repro candidates` to fit the generators again.",
        )
