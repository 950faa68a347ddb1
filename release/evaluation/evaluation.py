"""How good is a release? Every person of the test window is asked about through the request path, and judged.

The full catalogue competes, and what somebody has seen is left out. The slates are measured beside each of its
generators alone, on the same people with the same queries.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np
import polars as pl

from contracts.batches import batches_of
from contracts.clock import FixedClock
from contracts.errors import ArtefactError
from contracts.features import FeatureReader, Person
from contracts.id_map import UNKNOWN, IdMap
from contracts.ids import ItemIdxArray
from contracts.slates import Slate
from recommender.generators.base import Generator
from recommender.judging.intervals import PerPerson
from recommender.query import QueryBatch
from recommender.ragged import RaggedItems
from release.answering.placing import place_of
from release.answering.request_path import BLOCK, answer_many
from release.answering.request_query import read_people, retrieval_query
from release.answering.session_reader import SessionReader
from release.bundle.bundle import Release
from release.evaluation.cases import EvaluationCase, sessions_of
from release.evaluation.judge import Judge
from release.evaluation.stages import CANDIDATES_RECALL, candidates_recall
from release.evaluation.wanted_items import AskedBlock, n_to_propose, wanted_items

# The whole request path; the other systems are the generators, by their names.
SLATES: Final = "slates"  # the system that is served, beside each of its generators alone
JUDGED_TOGETHER: Final = 1024  # people: what is worked out of them is small beside their answers


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    per_person: group, user_id, n_seen, n_wanted, tier (of the slate), system, and a column per metric, null where there
    is nothing to measure. Where it was traced, also `candidates_recall`: of the slates, the share of the wanted items
    that were candidates; of a generator with a quota, the share that it proposed within it.
    coverage: group, system, and of all slates of the system together `coverage_at_<k>` and `gini_at_<k>`.
    wanted: what became of each wanted item (`wanted_items`); None where it was not traced.
    """

    per_person: pl.DataFrame
    coverage: pl.DataFrame
    metrics: tuple[str, ...]
    wanted: pl.DataFrame | None = None

    @property
    def cutoffs(self) -> tuple[int, ...]:
        """The k that slates were measured at."""
        return tuple(int(name.removeprefix("ndcg_at_")) for name in self.metrics if name.startswith("ndcg_at_"))


@dataclass(frozen=True)
class _AnsweredCase:
    """One case, and the slate of every system for it; history, slates: in the judge's dense ids."""

    case: EvaluationCase
    tier: str
    n_seen: int
    history: ItemIdxArray
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

    alone: the generators that are also judged each for itself; None is all of them, and then it is also traced what
    became of the items that were wanted.
    Left out: groups without cases, and in each group the generators that had nothing to go by for anybody.
    Raises ArtefactError when an answer is degraded: it would measure something else.
    """
    rows, covered, wanted = [], [], []
    to_judge = judge.item_ids.indices(release.catalogue.ids.ids)
    generators = {name: one for name, one in sorted(release.generators.items()) if alone is None or name in alone}
    for group, cases in groups.items():
        answered: list[_AnsweredCase] = []
        for together in _asked_together(progress(cases)):
            for block in _ask(release, reader, together, to_judge, judge.item_ids, generators):
                answered += _answered_cases(block)
                wanted += [wanted_items(group, block)] if alone is None else []
        systems = _answering_systems(answered)
        rows += [
            _person_rows(group, system, part, judge)
            for system in systems
            for part in batches_of(answered, JUDGED_TOGETHER)
        ]
        covered += [_coverage_row(group, system, answered, judge) for system in systems]
    measured = Evaluation(pl.concat(rows), pl.DataFrame(covered), judge.metrics)
    return _with_candidates_recall(measured, pl.concat(wanted, how="diagonal")) if wanted else measured


def _with_candidates_recall(measured: Evaluation, wanted: pl.DataFrame) -> Evaluation:
    keys = ["group", "user_id", "system"]
    per_person = measured.per_person.join(candidates_recall(wanted, SLATES), on=keys, how="left", maintain_order="left")
    return Evaluation(per_person, measured.coverage, (*measured.metrics, CANDIDATES_RECALL), wanted)


def _answering_systems(answered: Iterable[_AnsweredCase]) -> list[str]:
    """The slates, and every generator that had something to go by for anybody."""
    return sorted({name for one in answered for name, slate in one.slates.items() if len(slate) or name == SLATES})


def _asked_together(cases: Iterable[EvaluationCase]) -> Iterator[list[EvaluationCase]]:
    """The cases in their order, those together that follow each other and ask at one moment for as many items."""
    for _, alike in groupby(cases, key=lambda case: (case.now, case.request.k)):
        yield from batches_of(alike, BLOCK)


def _ask(
    release: Release,
    reader: FeatureReader,
    cases: Sequence[EvaluationCase],
    to_judge: ItemIdxArray,
    item_ids: IdMap,
    generators: Mapping[str, Generator],
) -> Iterator[AskedBlock]:
    """The slates, and what each generator proposes to the same queries; all cases ask at one moment for as many items.

    A block for those cases of which the same rules held, as they are served: what rules keep away is no candidate.
    to_judge: (n_items,) the judge's index of the release's items.
    """
    with_sessions, now = SessionReader(reader, sessions_of(cases)), cases[0].now
    requests = [case.request for case in cases]
    slates = answer_many(release, with_sessions, FixedClock(now), requests)
    for case, slate in zip(cases, slates, strict=True):
        _check_whole(case, slate)
    people = read_people(release, with_sessions, requests, now)
    for held in dict.fromkeys(slate.rules for slate in slates):
        alike = [number for number, slate in enumerate(slates) if slate.rules == held]
        chosen = [_Served(cases[number], people[number], slates[number]) for number in alike]
        yield _asked_block(release, chosen, to_judge, item_ids, generators)


@dataclass(frozen=True)
class _Served:
    case: EvaluationCase
    person: Person
    slate: Slate


def _asked_block(
    release: Release,
    served: Sequence[_Served],
    to_judge: ItemIdxArray,
    item_ids: IdMap,
    generators: Mapping[str, Generator],
) -> AskedBlock:
    """Cases of which the same rules held."""
    request, now = served[0].case.request, served[0].case.now
    place = place_of(release, request)
    here = release.at(place.name)
    passing = place.allowed(served[0].slate.rules, request.filter)
    queries = QueryBatch.of([retrieval_query(here, one.case.request, one.person, now) for one in served], passing)
    proposed = {
        name: one.encode(queries).propose(n_to_propose(here, name, request.k)) for name, one in generators.items()
    }
    slates = [one.slate for one in served]
    shown = RaggedItems.of(item_ids.indices(item.item_id for item in slate.items) for slate in slates)
    return AskedBlock(here, [one.case for one in served], queries, slates, shown, proposed, to_judge)


def _answered_cases(block: AskedBlock) -> Iterator[_AnsweredCase]:
    for number, (case, slate) in enumerate(zip(block.cases, block.slates, strict=True)):
        alone = {name: one.of_query(number)[0][: case.request.k] for name, one in block.proposed.items()}
        shown = {name: block.to_judge[items] for name, items in alone.items()} | {SLATES: block.shown[number]}
        history = _known_to_both(block.queries.histories.items[number], block.to_judge)
        yield _AnsweredCase(case, str(slate.tier), len(block.queries.excluded[number]), history, shown)


def _known_to_both(items: ItemIdxArray, to_judge: ItemIdxArray) -> ItemIdxArray:
    """Items of the release, in the judge's dense ids; those are left out that one of the two does not know."""
    judged = to_judge[items[items != UNKNOWN]]
    known: ItemIdxArray = judged[judged != UNKNOWN]
    return known


def _check_whole(case: EvaluationCase, slate: Slate) -> None:
    if slate.degraded:
        raise ArtefactError(
            f"The answer for {case.request.request_id} had to do without {', '.join(slate.degraded)}.",
            "The warning above names the error; mend it, and run `dvc repro evaluate` again.",
        )


def _person_rows(group: str, system: str, answered: Sequence[_AnsweredCase], judge: Judge) -> pl.DataFrame:
    about = {
        "group": [group] * len(answered),
        "user_id": [one.case.user_id for one in answered],
        "n_seen": [one.n_seen for one in answered],
        "n_wanted": [len(one.case.relevant) for one in answered],
        "tier": [one.tier for one in answered],
        "system": [system] * len(answered),
    }
    values = judge.values(
        RaggedItems.of(one.slates[system] for one in answered),
        RaggedItems.of(one.case.relevant for one in answered),
        RaggedItems.of(one.history for one in answered),
    )
    return pl.DataFrame({**about, **values}).with_columns(pl.col(list(values)).fill_nan(None))


def _coverage_row(group: str, system: str, answered: Sequence[_AnsweredCase], judge: Judge) -> dict[str, object]:
    return {"group": group, "system": system, **judge.of_all(RaggedItems.of(one.slates[system] for one in answered))}


def values_of(per_person: pl.DataFrame, group: str, system: str, metric: str) -> PerPerson:
    """(n_people,) one metric of one system, of those it was measured of, in the order of their ids.

    per_person: of an Evaluation.
    """
    rows = per_person.filter((pl.col("group") == group) & (pl.col("system") == system))
    return rows.sort("user_id")[metric].drop_nulls().to_numpy().astype(np.float64)
