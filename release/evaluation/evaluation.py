"""How good is a release? Every person of the test window is asked about through the request path, and judged.

The full catalogue competes, and what somebody has seen is left out. The slates are measured beside each of its
generators alone, on the same people with the same queries.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from contracts.batches import batches_of
from contracts.clock import FixedClock
from contracts.errors import ArtefactError
from contracts.features import FeatureReader
from contracts.id_map import UNKNOWN, IdMap
from contracts.ids import FloatArray, ItemIdxArray
from contracts.slates import Slate
from recommender.generators.base import Generator
from recommender.metrics import (
    PerPerson,
    coverage,
    hit_rate,
    intra_list_diversity,
    most_popular,
    mrr,
    ndcg,
    novelty,
    popularity_share,
    recall,
)
from recommender.query import QueryBatch
from release.answering.request_path import BLOCK, answer_many
from release.answering.request_query import read_person, retrieval_query
from release.answering.session_reader import SessionReader
from release.bundle.bundle import Release
from release.evaluation.cases import EvaluationCase, sessions_of

# The whole request path; the other systems are the generators, by their names.
SLATES: Final = "slates"  # the system that is served, beside each of its generators alone
_HIT_METRICS: Final[Mapping[str, Callable[[ItemIdxArray, ItemIdxArray, int], float]]] = {
    "ndcg": ndcg,
    "recall": recall,
    "hit_rate": hit_rate,
    "mrr": mrr,
}
_SHOWN_METRICS: Final = ("novelty", "diversity", "popularity_share")
# How much of the catalogue counts as popular where the share of popular items is measured.
POPULAR_SHARE: Final = 0.01


@dataclass(frozen=True)
class Judge:
    """What slates are judged with.

    item_ids: the items that slates and relevant items are dense indices of; popularity: (n_items,) shares of people;
    vectors: (n_items, dim) of unit length. An item of a slate that `item_ids` does not know (-1) takes its position
    and is relevant to nobody; the metrics of the items shown leave it out.
    """

    cutoffs: tuple[int, ...]
    item_ids: IdMap
    popularity: FloatArray
    vectors: FloatArray

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the values per person."""
        return tuple(f"{name}_at_{k}" for k in self.cutoffs for name in (*_HIT_METRICS, *_SHOWN_METRICS))

    def values(self, slate: ItemIdxArray, relevant: ItemIdxArray) -> dict[str, float]:
        """Every metric of one slate."""
        values: dict[str, float] = {}
        for k in self.cutoffs:
            values |= {f"{name}_at_{k}": metric(slate, relevant, k) for name, metric in _HIT_METRICS.items()}
            values |= {f"{name}_at_{k}": value for name, value in self._shown_values(_known_items(slate, k), k).items()}
        return values

    def coverage(self, slates: Sequence[ItemIdxArray]) -> dict[str, float]:
        """By name, the share of the items that these slates show to anybody."""
        n_items = len(self.item_ids)
        return {
            f"coverage_at_{k}": coverage([_known_items(slate, k) for slate in slates], n_items, k) for k in self.cutoffs
        }

    def _shown_values(self, shown: ItemIdxArray, k: int) -> dict[str, float]:
        values = (
            novelty(shown, self.popularity, k),
            intra_list_diversity(shown, self.vectors, k),
            popularity_share(shown, self._popular, k),
        )
        return dict(zip(_SHOWN_METRICS, values, strict=True))

    @cached_property
    def _popular(self) -> npt.NDArray[np.bool_]:
        return most_popular(self.popularity, POPULAR_SHARE)


def _known_items(slate: ItemIdxArray, k: int) -> ItemIdxArray:
    shown = slate[:k]
    known: ItemIdxArray = shown[shown != UNKNOWN]
    return known


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    per_person: group, user_id, n_seen, n_wanted, tier (of the slate), system, and a column per metric.
    coverage: group, system, and `coverage_at_<k>`: the share of the catalogue shown to anybody.
    """

    per_person: pl.DataFrame
    coverage: pl.DataFrame
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class _AnsweredCase:
    """One case, and the slate of every system for it."""

    case: EvaluationCase
    tier: str
    n_seen: int
    slates: Mapping[str, ItemIdxArray]


def evaluate(
    release: Release,
    reader: FeatureReader,
    groups: Mapping[str, Sequence[EvaluationCase]],
    judge: Judge,
    progress: Callable[[Iterable[EvaluationCase]], Iterable[EvaluationCase]] = iter,
    alone: Collection[str] | None = None,
) -> Evaluation:
    """Ask about every case of every group, and judge each slate.

    alone: the generators that are also judged each for itself; None is all of them.
    Left out: groups without cases, and in each group the generators that had nothing to go by for anybody.
    Raises ArtefactError when an answer is degraded: it would measure something else.
    """
    rows, covered = [], []
    generators = {name: one for name, one in sorted(release.generators.items()) if alone is None or name in alone}
    for group, cases in groups.items():
        answered = [
            one
            for block in _asked_together(progress(cases))
            for one in _answer_cases(release, reader, block, judge.item_ids, generators)
        ]
        systems = _answering_systems(answered)
        rows += [row for one in answered for row in _person_rows(group, one, systems, judge)]
        covered += [_coverage_row(group, system, answered, judge) for system in systems]
    return Evaluation(pl.DataFrame(rows), pl.DataFrame(covered), judge.metrics)


def _answering_systems(answered: Iterable[_AnsweredCase]) -> list[str]:
    """The slates, and every generator that had something to go by for anybody."""
    return sorted({name for one in answered for name, slate in one.slates.items() if len(slate) or name == SLATES})


def _asked_together(cases: Iterable[EvaluationCase]) -> Iterator[list[EvaluationCase]]:
    """The cases in their order, those together that follow each other and ask at one moment for as many items."""
    for _, alike in groupby(cases, key=lambda case: (case.now, case.request.k)):
        yield from batches_of(alike, BLOCK)


def _answer_cases(
    release: Release,
    reader: FeatureReader,
    cases: Sequence[EvaluationCase],
    item_ids: IdMap,
    generators: Mapping[str, Generator],
) -> Iterator[_AnsweredCase]:
    """Every case answered; all ask at one moment."""
    with_sessions, now = SessionReader(reader, sessions_of(cases)), cases[0].now
    slates = answer_many(release, with_sessions, FixedClock(now), [case.request for case in cases])
    people = [read_person(release, with_sessions, case.request, now) for case in cases]
    queries = QueryBatch.of(
        [retrieval_query(release, case.request, person, now) for case, person in zip(cases, people, strict=True)]
    )
    proposed = {name: one.encode(queries).propose(cases[0].request.k) for name, one in generators.items()}
    for number, (case, slate) in enumerate(zip(cases, slates, strict=True)):
        _check_whole(case, slate)
        items = {name: proposals.of_query(number)[0] for name, proposals in proposed.items()}
        shown = {name: item_ids.indices(release.catalogue.ids.external(own)) for name, own in items.items()}
        shown[SLATES] = item_ids.indices(item.item_id for item in slate.items)
        yield _AnsweredCase(case, str(slate.tier), len(queries.excluded[number]), shown)


def _check_whole(case: EvaluationCase, slate: Slate) -> None:
    if slate.degraded:
        raise ArtefactError(
            f"The answer for {case.request.request_id} had to do without {', '.join(slate.degraded)}.",
            "The warning above names the error; mend it, and run `dvc repro evaluate` again.",
        )


def _person_rows(group: str, answered: _AnsweredCase, systems: Sequence[str], judge: Judge) -> list[dict[str, object]]:
    about = {
        "group": group,
        "user_id": answered.case.user_id,
        "n_seen": answered.n_seen,
        "n_wanted": len(answered.case.relevant),
        "tier": answered.tier,
    }
    relevant = answered.case.relevant
    return [{**about, "system": system, **judge.values(answered.slates[system], relevant)} for system in systems]


def _coverage_row(group: str, system: str, answered: Sequence[_AnsweredCase], judge: Judge) -> dict[str, object]:
    return {"group": group, "system": system, **judge.coverage([one.slates[system] for one in answered])}


def values_of(per_person: pl.DataFrame, group: str, system: str, metric: str) -> PerPerson:
    """(n_people,) one metric of one system, people in the order of their ids; per_person: of an Evaluation."""
    rows = per_person.filter((pl.col("group") == group) & (pl.col("system") == system))
    return rows.sort("user_id")[metric].to_numpy().astype(np.float64)
