"""Merging what the generators propose into one set of candidates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from contracts.errors import SettingsError
from contracts.ids import FloatArray, ItemIdxArray
from recommender.compiled import INDICES, NUMBER, SCORES, TABLE, compiled, sort
from recommender.generators.base import EncodedQueries, Generator
from recommender.proposals import Proposals
from recommender.query import QueryBatch
from recommender.ragged import Offsets, RaggedItems, Rows, is_among

# An entry of a merge: the item in the upper 32 bits, then the place, and the generator in the last ones.
GENERATOR_BITS: Final = 8
MOST_GENERATORS: Final = 2**GENERATOR_BITS - 1
LOW_BITS: Final = 2**32 - 1

Asked = TypeVar("Asked")
Without = TypeVar("Without")


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


@dataclass
class SparedFailures:
    """Asks generators of which some may fail: one that does proposes nothing, and has no opinion.

    failures: what each died of, by name, as soon as it did.
    """

    failures: dict[str, Exception] = field(default_factory=dict)

    def encode_all(self, generators: Mapping[str, Generator], queries: QueryBatch) -> dict[str, EncodedQueries]:
        """As the function of this name. What is proposed by one that fails only when it scores still counts."""
        encoded: dict[str, EncodedQueries] = {}
        for name, generator in generators.items():
            made = self.spare(name, partial(generator.encode, queries), None)
            encoded[name] = _Spared(self, name, len(queries), made)
        return encoded

    def spare(self, name: str, ask: Callable[[], Asked], without: Without) -> Asked | Without:
        """What a generator answers; `without` where it fails, or has failed before."""
        if name in self.failures:
            return without
        try:
            return ask()
        except Exception as error:  # noqa: BLE001 - whatever one generator dies of, the others are asked
            self.failures[name] = error
            return without


@dataclass(frozen=True)
class _Spared:
    """What one generator makes of queries, if it does not fail."""

    failures: SparedFailures
    name: str
    n_queries: int
    encoded: EncodedQueries | None

    def propose(self, k: int) -> Proposals:
        nothing = Proposals.none(self.n_queries)
        if self.encoded is None:
            return nothing
        return self.failures.spare(self.name, partial(self.encoded.propose, k), nothing)

    def score(self, items: RaggedItems) -> FloatArray:
        unknown = np.full(len(items.item_idx), np.nan, np.float32)
        if self.encoded is None:
            return unknown
        return self.failures.spare(self.name, partial(self.encoded.score, items), unknown)


def gather(
    encoded: Mapping[str, EncodedQueries], queries: QueryBatch, quotas: Mapping[str, int], n_ranked: int
) -> CandidateSet:
    """Ask every generator for its quota, and keep at most n_ranked of each query's union, best placed first.

    encoded: of the queries (`encode_all`). A generator with quota 0, or none, proposes nothing but still scores. The
    order of `encoded` does not matter.
    Raises SettingsError when something is asked of a generator that is not there.
    """
    _check_names(encoded, quotas)
    names = tuple(sorted(encoded))
    quota = {name: quotas.get(name, 0) for name in names}
    proposals = [encoded[name].propose(quota[name]) if quota[name] else Proposals.none(len(queries)) for name in names]
    outside = np.array([quota[name] + 1 for name in names], np.float32)
    offsets, item_idx, ranks, sources = _merged(
        np.array([best.offsets for best in proposals], np.int64).reshape(len(names), len(queries) + 1),
        np.concatenate([np.empty(0, np.int32), *(best.item_idx for best in proposals)]),
        outside,
        len(queries),
        n_ranked,
    )
    items = RaggedItems(offsets, item_idx)
    scores = [encoded[name].score(items) for name in names]
    return CandidateSet(items, _columns(scores, len(item_idx)), ranks, ranks < outside, sources, names)


def joined(first: CandidateSet, further: CandidateSet, quotas: Mapping[str, int]) -> CandidateSet:
    """The candidates of the first set, and behind them those of the other one that a query does not have yet.

    Both are of the same queries and generators. quotas: by which the first ones were proposed. The others were the best
    of fewer items: their ranks begin where those of the first set end.
    """
    new = ~is_among(further.items.keys, np.sort(first.items.keys))
    rows = np.concatenate([first.rows, further.rows[new]])
    order = np.argsort(rows, kind="stable")
    outside = np.array([quotas.get(name, 0) + 1 for name in first.names], np.float32)
    behind = outside + np.where(further.proposed, further.ranks, np.float32(0))[new]

    def both(ours: Any, theirs: Any) -> Any:
        return np.concatenate([ours, theirs])[order]

    item_idx = both(first.item_idx, further.item_idx[new])
    return CandidateSet(
        RaggedItems.of_rows(rows[order], item_idx, len(first.items)),
        both(first.scores, further.scores[new]),
        both(first.ranks, behind),
        both(first.proposed, further.proposed[new]),
        both(first.sources, further.sources[new]),
        first.names,
    )


@compiled(TABLE, INDICES, SCORES, NUMBER, NUMBER)
def _merged(
    bounds: npt.NDArray[np.int64], item_idx: ItemIdxArray, outside: FloatArray, n_queries: int, n_ranked: int
) -> tuple[Offsets, ItemIdxArray, FloatArray, npt.NDArray[np.int32]]:  # pragma: no cover - compiled
    """(offsets, item_idx, ranks, sources) of a CandidateSet.

    bounds: (n_generators, n_queries + 1) each generator's offsets within its own proposals; item_idx: of all proposals,
    one generator's after the other's; outside: (n_generators,) the rank where it did not propose the item.
    """
    n_generators = len(outside)
    kept_items, sources = np.empty(len(item_idx), np.int32), np.empty(len(item_idx), np.int32)
    ranks = np.empty((len(item_idx), n_generators), np.float32)
    offsets = np.zeros(n_queries + 1, np.int64)
    entries, firsts = np.empty(len(item_idx), np.int64), np.empty(len(item_idx), np.int64)
    kept = 0
    for query in range(n_queries):
        n, start = 0, 0  # start: of each generator's proposals in item_idx
        for generator in range(n_generators):
            first, end = bounds[generator, query], bounds[generator, query + 1]
            for place in range(end - first):
                item = np.int64(item_idx[start + first + place])
                entries[n] = (item << 32) | (place << GENERATOR_BITS) | generator
                n += 1
            start += bounds[generator, n_queries]
        sort(entries, n)
        # Of each item the entry of its best place, by that place and then by item: entries are in the order of items.
        n_items = 0
        for at in range(n):
            if at == 0 or entries[at] >> 32 != entries[at - 1] >> 32:
                firsts[n_items] = ((entries[at] & LOW_BITS) >> GENERATOR_BITS << 32) | at
                n_items += 1
        sort(firsts, n_items)
        for number in range(min(n_items, n_ranked)):
            at = firsts[number] & LOW_BITS
            item = entries[at] >> 32
            kept_items[kept], sources[kept] = item, entries[at] & MOST_GENERATORS
            for generator in range(n_generators):
                ranks[kept, generator] = outside[generator]
            while at < n and entries[at] >> 32 == item:
                ranks[kept, entries[at] & MOST_GENERATORS] = ((entries[at] & LOW_BITS) >> GENERATOR_BITS) + 1
                at += 1
            kept += 1
        offsets[query + 1] = kept
    return offsets, kept_items[:kept], ranks[:kept], sources[:kept]


def _columns(columns: list[FloatArray], n_rows: int) -> FloatArray:
    return np.stack(columns, axis=1) if columns else np.empty((n_rows, 0), np.float32)


def _check_names(generators: Mapping[str, EncodedQueries], quotas: Mapping[str, int]) -> None:
    unknown = sorted(name for name, quota in quotas.items() if quota and name not in generators)
    if unknown:
        raise SettingsError(
            f"request.quotas names {', '.join(unknown)}; the generators are {', '.join(sorted(generators))}.",
            "Mend request.quotas in params.yaml (what candidates.off names has 0 or no quota), or run `dvc repro "
            "candidates` to fit the generators again.",
        )
