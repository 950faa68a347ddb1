"""How good is a release? Every person of the test window is asked about through the request path, and judged.

The full catalogue competes, and what somebody has seen is left out. The whole chain is measured beside each of its
generators alone, on the same people with the same queries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from contracts.clock import FixedClock
from contracts.errors import ArtefactError
from contracts.features import FeatureReader
from contracts.ids import FloatArray, ItemIdxArray
from recommender.metrics import coverage, hit_rate, intra_list_diversity, mrr, ndcg, novelty, recall
from release.bundle import Release
from release.evaluation_cases import Case, sessions_of
from release.request_path import answer
from release.request_query import retrieval_query
from release.session_reader import SessionReader

# The whole request path; the other systems are the generators, by their names.
CHAIN: Final = "chain"
_HIT_METRICS: Final[Mapping[str, Callable[[ItemIdxArray, ItemIdxArray, int], float]]] = {
    "ndcg": ndcg,
    "recall": recall,
    "hit_rate": hit_rate,
    "mrr": mrr,
}


@dataclass(frozen=True)
class Judge:
    """What slates are judged with. popularity: (n_items,) shares of people; vectors: (n_items, dim) of unit length."""

    cutoffs: tuple[int, ...]
    popularity: FloatArray
    vectors: FloatArray

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the values per person."""
        return tuple(f"{name}_at_{k}" for k in self.cutoffs for name in (*_HIT_METRICS, "novelty", "diversity"))

    def values(self, slate: ItemIdxArray, wanted: ItemIdxArray) -> dict[str, float]:
        """Every metric of one slate."""
        values: dict[str, float] = {}
        for k in self.cutoffs:
            values |= {f"{name}_at_{k}": metric(slate, wanted, k) for name, metric in _HIT_METRICS.items()}
            values[f"novelty_at_{k}"] = novelty(slate, self.popularity, k)
            values[f"diversity_at_{k}"] = intra_list_diversity(slate, self.vectors, k)
        return values


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    per_person: group, user_id, n_seen, n_wanted, tier (of the chain's answer), system, and a column per metric.
    coverage: group, system, and `coverage_at_<k>`: the share of the catalogue shown to anybody.
    """

    per_person: pl.DataFrame
    coverage: pl.DataFrame
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class _Asked:
    """One case, and the slate of every system for it."""

    case: Case
    tier: str
    n_seen: int
    slates: Mapping[str, ItemIdxArray]


def evaluate(
    release: Release,
    reader: FeatureReader,
    groups: Mapping[str, Sequence[Case]],
    judge: Judge,
    progress: Callable[[Iterable[Case]], Iterable[Case]] = iter,
) -> Evaluation:
    """Ask about every case of every group, and judge each slate.

    Left out: groups without cases, and in each group the generators that had nothing to go by for anybody.

    Raises ArtefactError when an answer stands on a lower rung of the ladder: it would measure something else.
    """
    rows, covered = [], []
    for group, cases in groups.items():
        asked = [_ask(release, reader, case) for case in progress(cases)]
        systems = sorted({name for one in asked for name, slate in one.slates.items() if len(slate)})
        rows += [row for one in asked for row in _rows(group, one, systems, judge)]
        covered += [_coverage(group, system, asked, judge, len(release.catalogue)) for system in systems]
    return Evaluation(pl.DataFrame(rows), pl.DataFrame(covered), judge.metrics)


def _ask(release: Release, reader: FeatureReader, case: Case) -> _Asked:
    with_session = SessionReader(reader, sessions_of([case]))
    slate = answer(release, with_session, FixedClock(case.now), case.request)
    if slate.degraded:
        raise ArtefactError(
            f"The answer for {case.request.request_id} had to do without {', '.join(slate.degraded)}.",
            "The warning above names the error; mend it, and run `dvc repro evaluate` again.",
        )
    person = with_session.read_person(case.request.user_id, case.request.session_id, case.now)
    query = retrieval_query(release, case.request, person, case.now)
    slates = {name: one.propose(query, case.request.k).item_idx for name, one in sorted(release.generators.items())}
    slates[CHAIN] = release.catalogue.ids.indices(item.item_id for item in slate.items)
    return _Asked(case, str(slate.tier), len(query.excluded), slates)


def _rows(group: str, asked: _Asked, systems: Sequence[str], judge: Judge) -> list[dict[str, object]]:
    about = {
        "group": group,
        "user_id": asked.case.user_id,
        "n_seen": asked.n_seen,
        "n_wanted": len(asked.case.wanted),
        "tier": asked.tier,
    }
    wanted = asked.case.wanted
    return [{**about, "system": system, **judge.values(asked.slates[system], wanted)} for system in systems]


def _coverage(group: str, system: str, asked: Sequence[_Asked], judge: Judge, n_items: int) -> dict[str, object]:
    slates = [one.slates[system] for one in asked]
    found = {f"coverage_at_{k}": coverage(slates, n_items, k) for k in judge.cutoffs}
    return {"group": group, "system": system, **found}


def values_of(
    evaluation: Evaluation, group: str, system: str, metric: str
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """(n_people,) one metric of one system, people in the order of their ids."""
    rows = evaluation.per_person.filter((pl.col("group") == group) & (pl.col("system") == system))
    return rows.sort("user_id")[metric].to_numpy().astype(np.float64)
