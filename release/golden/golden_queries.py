"""Golden queries: requests that travel with a release, with everything they need and the answers expected.

    golden/queries.json   `now`, and per query the request, the session's events and the answer
    golden/values/        the feature values of the people and items that the queries touch

A query never reads live rows, so that its answer depends on the release and the code alone: whoever loads a release
replays them before serving it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from pydantic import AwareDatetime, TypeAdapter

from contracts.artefact import reading
from contracts.clock import FixedClock
from contracts.errors import ArtefactError, ReleaseMismatch
from contracts.features import FeatureReader, History, Person, ReadRows
from contracts.id_map import IdMap
from contracts.ids import ItemId, SessionId, UserId
from contracts.slates import RecommendRequest, Slate
from feature_store.readers.offline_reader import OfflineFeatureReader
from feature_store.values.values import FeatureValues
from release.answering.request_path import answer
from release.answering.session_reader import SessionReader
from release.bundle.bundle import Release
from release.bundle.manifest import REBUILD
from release.bundle.parts import GOLDEN, QUERIES
from release.golden.golden_requests import Click, Question, golden_questions

VALUES: Final = "values"
SCORE_DIGITS: Final = 6  # what is written of a score; release.golden_tolerance is wider


@dataclass(frozen=True)
class Expected:
    """The answer a release gave when it was built. items: (item_id, score), in the order of their positions."""

    tier: str
    items: tuple[tuple[str, float], ...]

    @classmethod
    def of(cls, slate: Slate) -> Expected:
        items = tuple((str(item.item_id), round(item.score, SCORE_DIGITS)) for item in slate.items)
        return cls(str(slate.tier), items)


def make_golden(
    folder: Path,
    release: Release,
    values: FeatureValues,
    contexts: Sequence[Mapping[str, str]],
    n_queries: int,
    seed: int,
) -> int:
    """Write golden queries with the release's own answers into `folder`, and return how many there are.

    values: of the generation the release ships with; contexts: what is known of newcomers, to draw some from.
    Raises ArtefactError when an answer stands on a lower rung of the ladder: it would teach a failure.
    """
    now = values.as_of
    questions = golden_questions(release, values, contexts, now, n_queries, np.random.default_rng(seed))
    reader = _Recorder(OfflineFeatureReader(values, release.schemas, release.catalogue.ids))
    answers = [answer_question(release, reader, now, question) for question in questions]
    for slate in answers:
        if slate.degraded:
            raise ArtefactError(
                f"Golden query {slate.request_id} had to do without {', '.join(slate.degraded)}.",
                "The warning above names the error; mend it, and run `dvc repro release` again.",
            )
    _needed(values, questions, reader.items).save(folder / VALUES)
    content = {
        "now": now.isoformat(),
        "queries": [
            {**asdict(question), "answer": asdict(Expected.of(slate))}
            for question, slate in zip(questions, answers, strict=True)
        ],
    }
    (folder / QUERIES).write_text(json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n")
    return len(questions)


@dataclass(frozen=True)
class GoldenQueries:
    """The golden queries of a release, and whoever reads the values that travel with them.

    now: the moment at which all of them are asked; tolerance: how far a score may be from the one expected.
    """

    release: Release
    folder: Path
    now: datetime
    tolerance: float
    queries: Sequence[tuple[Question, Expected]]
    reader: FeatureReader

    @classmethod
    def load(cls, release: Release) -> GoldenQueries:
        """Those of the bundle that the release was loaded from.

        Raises ArtefactError when there is none, or when they are missing or damaged; ReleaseMismatch when there are not
        so many as the manifest says.
        """
        if release.folder is None or release.manifest is None:
            raise ArtefactError(f"Release {release.release_id} is no bundle: it has no golden queries.", REBUILD)
        folder = release.folder / GOLDEN
        now, queries = load_queries(folder)
        if len(queries) != release.manifest.golden:
            raise ReleaseMismatch(
                f"{folder} holds {len(queries)} queries, the manifest says {release.manifest.golden}.", REBUILD
            )
        with reading(folder):
            values = FeatureValues.load(folder / VALUES)
            reader = OfflineFeatureReader(values, release.schemas, release.catalogue.ids)
            tolerance = float(release.manifest.params["release"]["golden_tolerance"])
        return cls(release, folder, now, tolerance, queries, reader)

    def check(self) -> None:
        """Replay them; raises ReleaseMismatch naming the query and the first difference, with both values."""
        with reading(self.folder):
            for question, expected in self.queries:
                _compare(self.release, expected, self.answer(question), self.tolerance)

    def answer(self, question: Question) -> Slate:
        """The release's slate for one of the questions, through the request path."""
        return answer_question(self.release, self.reader, self.now, question)

    def calls(self) -> list[Callable[[], Slate]]:
        """One call per query, which answers it; nothing is compared."""
        return [partial(self.answer, question) for question, _ in self.queries]


def check_golden(release: Release) -> None:
    """Replay a bundle's golden queries; raises as `GoldenQueries.load` and `GoldenQueries.check` do."""
    GoldenQueries.load(release).check()


def golden_requests(release: Release) -> list[tuple[RecommendRequest, History | None]]:
    """What a bundle's golden queries ask, each with what happened in its session, if it has one.

    Raises ArtefactError when the queries are missing or damaged.
    """
    if release.folder is None:
        raise ArtefactError(f"Release {release.release_id} is no bundle: it has no golden queries.", REBUILD)
    _, queries = load_queries(release.folder / GOLDEN)
    ids = release.catalogue.ids
    return [
        (question.request, _history(question.session, ids) if question.session else None) for question, _ in queries
    ]


class _Recorder:
    """Reads from another reader, and remembers which items it was asked for."""

    def __init__(self, reader: FeatureReader) -> None:
        self._reader = reader
        self.items: set[str] = set()

    @property
    def generation_id(self) -> str:
        return self._reader.generation_id

    def read_person(self, user_id: UserId | None, session_id: SessionId | None, now: datetime) -> Person:
        return self._reader.read_person(user_id, session_id, now)

    def read_items(self, item_ids: Sequence[ItemId], now: datetime) -> ReadRows:
        self.items.update(item_ids)
        return self._reader.read_items(item_ids, now)


def answer_question(release: Release, reader: FeatureReader, now: datetime, question: Question) -> Slate:
    """The release's slate for one golden question, its session included."""
    session_id = question.request.session_id
    sessions = {} if session_id is None else {session_id: _history(question.session, release.catalogue.ids)}
    return answer(release, SessionReader(reader, sessions), FixedClock(now), question.request)


def _history(clicks: Sequence[Click], item_ids: IdMap) -> History:
    values = [float("nan") if click.value is None else click.value for click in clicks]
    return History.without_types(
        item_ids.indices(click.item_id for click in clicks),
        np.array([click.event_ts for click in clicks], np.int64),
        np.array(values, np.float32),
    )


def _needed(values: FeatureValues, questions: Sequence[Question], items: set[str]) -> FeatureValues:
    """Only the rows that the questions' answers depend on."""
    people = [question.request.user_id for question in questions if question.request.user_id is not None]
    of_people, of_items = pl.col("user_id").is_in(people), pl.col("item_id").is_in(sorted(items))
    return replace(
        values,
        users=values.users.filter(of_people),
        items=values.items.filter(of_items),
        histories=values.histories.filter(of_people),
    )


def _compare(release: Release, expected: Expected, slate: Slate, tolerance: float) -> None:
    difference = _difference(expected, slate, tolerance)
    if difference:
        raise ReleaseMismatch(
            f"Golden query {slate.request_id} of release {release.release_id}: {difference}",
            "The code or the libraries differ from those it was built with. Check its code out "
            "(`git checkout release/<id>`), or build a release with these: `dvc repro release`.",
        )


def _difference(expected: Expected, slate: Slate, tolerance: float) -> str:
    """The first difference in a sentence with both values; empty where there is none."""
    found = Expected.of(slate)
    if slate.degraded:
        return f"the answer had to do without {', '.join(slate.degraded)}."
    if found.tier != expected.tier:
        return f"expected tier {expected.tier}, found {found.tier}."
    if len(found.items) != len(expected.items):
        return f"expected {len(expected.items)} items, found {len(found.items)}."
    for position, (wanted, got) in enumerate(zip(expected.items, found.items, strict=True), start=1):
        if wanted[0] != got[0]:
            return f"expected item {wanted[0]} at position {position}, found {got[0]}."
        if abs(wanted[1] - got[1]) > tolerance:
            return f"expected score {wanted[1]} for item {wanted[0]} at position {position}, found {got[1]}."
    return ""


def load_queries(folder: Path) -> tuple[datetime, list[tuple[Question, Expected]]]:
    """`now`, and the queries with the answers expected; raises ArtefactError when they are missing or damaged."""
    with reading(folder / QUERIES):
        asked = _ASKED.validate_json((folder / QUERIES).read_bytes(), strict=True)
        return asked.now, [(Question(query.request, query.session), query.answer) for query in asked.queries]


@dataclass(frozen=True)
class _Query:
    request: RecommendRequest
    session: tuple[Click, ...]
    answer: Expected


@dataclass(frozen=True)
class _Asked:
    now: AwareDatetime
    queries: list[_Query]


_ASKED = TypeAdapter(_Asked)
