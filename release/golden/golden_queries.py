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
from typing import Annotated, Any, Final

import numpy as np
import polars as pl
from pydantic import AwareDatetime, PlainValidator, TypeAdapter

from contracts.artefact import reading
from contracts.clock import FixedClock
from contracts.errors import ArtefactError, ReleaseMismatch, WrongInput
from contracts.features import FeatureReader, History, Person, ReadRows, ReadsPeopleInTurn
from contracts.filters import filter_of
from contracts.id_map import IdMap
from contracts.ids import ItemId, SessionId, UserId
from contracts.json_file import write_json
from contracts.slates import RecommendRequest, Slate
from feature_store.readers.offline_reader import OfflineFeatureReader
from feature_store.values.values import FeatureValues
from release.answering.request_path import answer_many
from release.answering.session_reader import SessionReader
from release.bundle.bundle import Release
from release.bundle.manifest import REBUILD
from release.bundle.parts import GOLDEN, QUERIES
from release.golden.golden_requests import Click, GoldenRequest, draw_golden_requests

VALUES: Final = "values"
SCORE_DIGITS: Final = 6  # what is written of a score; release.golden_tolerance is wider


@dataclass(frozen=True)
class ExpectedAnswer:
    """The answer a release gave when it was built. items: (item_id, score), in the order of their positions."""

    tier: str
    items: tuple[tuple[str, float], ...]

    @classmethod
    def of(cls, slate: Slate) -> ExpectedAnswer:
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
    Raises ArtefactError when an answer is degraded: it would teach a failure.
    """
    now = values.as_of
    requests = draw_golden_requests(release, values, contexts, now, n_queries, np.random.default_rng(seed))
    reader = _ItemRecorder(OfflineFeatureReader(values, release.schemas, release.catalogue.ids))
    answers = answer_golden_requests(release, reader, now, requests)
    for slate in answers:
        if slate.degraded:
            raise ArtefactError(
                f"Golden query {slate.request_id} had to do without {', '.join(slate.degraded)}.",
                "The warning above names the error; mend it, and run `dvc repro release` again.",
            )
    _needed_values(values, requests, reader.items).save(folder / VALUES)
    content = {
        "now": now.isoformat(),
        "queries": [
            {**golden.to_json(), "answer": asdict(ExpectedAnswer.of(slate))}
            for golden, slate in zip(requests, answers, strict=True)
        ],
    }
    write_json(content, folder / QUERIES, allow_nan=False)
    return len(requests)


@dataclass(frozen=True)
class GoldenQueries:
    """The golden queries of a release, and whoever reads the values that travel with them.

    now: the moment at which all of them are asked; tolerance: how far a score may be from the one expected.
    n_expected: how many there are by the manifest.
    """

    release: Release
    folder: Path
    now: datetime
    tolerance: float
    queries: Sequence[tuple[GoldenRequest, ExpectedAnswer]]
    reader: FeatureReader
    n_expected: int

    @classmethod
    def load(cls, release: Release) -> GoldenQueries:
        """Those of the bundle that the release was loaded from.

        Raises ArtefactError when there is none, or when they are missing or damaged.
        """
        if release.folder is None or release.manifest is None:
            raise ArtefactError(f"Release {release.release_id} is no bundle: it has no golden queries.", REBUILD)
        folder = release.folder / GOLDEN
        now, queries = load_queries(folder)
        with reading(folder):
            values = FeatureValues.load(folder / VALUES)
            reader = OfflineFeatureReader(values, release.schemas, release.catalogue.ids)
            tolerance = float(release.manifest.params["release"]["golden_tolerance"])
        return cls(release, folder, now, tolerance, queries, reader, release.manifest.golden)

    def check(self) -> None:
        """Replay them; raises ReleaseMismatch naming the query and the first difference, with both values.

        Also when there are not so many as the manifest says.
        """
        if len(self.queries) != self.n_expected:
            raise ReleaseMismatch(
                f"{self.folder} holds {len(self.queries)} queries, the manifest says {self.n_expected}.", REBUILD
            )
        with reading(self.folder):
            requests = [golden for golden, _ in self.queries]
            slates = answer_golden_requests(self.release, self.reader, self.now, requests)
            for (_, expected), slate in zip(self.queries, slates, strict=True):
                _check_answer(self.release, expected, slate, self.tolerance)

    def answer(self, golden: GoldenRequest) -> Slate:
        """The release's slate for one of the requests, through the request path."""
        return answer_golden_requests(self.release, self.reader, self.now, [golden])[0]

    def calls(self) -> list[Callable[[], Slate]]:
        """One call per query, which answers it; nothing is compared."""
        return [partial(self.answer, golden) for golden, _ in self.queries]


def check_golden(release: Release) -> None:
    """Replay a bundle's golden queries; raises as `GoldenQueries.load` and `GoldenQueries.check` do."""
    GoldenQueries.load(release).check()


def load_golden_requests(release: Release) -> list[tuple[RecommendRequest, History | None]]:
    """The requests of a bundle's golden queries, each with what happened in its session, if it has one.

    Raises ArtefactError when the queries are missing or damaged.
    """
    if release.folder is None:
        raise ArtefactError(f"Release {release.release_id} is no bundle: it has no golden queries.", REBUILD)
    _, queries = load_queries(release.folder / GOLDEN)
    ids = release.catalogue.ids
    return [
        (golden.request, _session_history(golden.session, ids) if golden.session else None) for golden, _ in queries
    ]


class _ItemRecorder(ReadsPeopleInTurn):
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


def answer_golden_requests(
    release: Release, reader: FeatureReader, now: datetime, requests: Sequence[GoldenRequest]
) -> list[Slate]:
    """The release's slates for golden requests, their sessions included, in their order."""
    sessions = {
        golden.request.session_id: _session_history(golden.session, release.catalogue.ids)
        for golden in requests
        if golden.request.session_id is not None
    }
    asked = [golden.request for golden in requests]
    return answer_many(release, SessionReader(reader, sessions), FixedClock(now), asked)


def _session_history(clicks: Sequence[Click], item_ids: IdMap) -> History:
    values = [float("nan") if click.value is None else click.value for click in clicks]
    return History.without_types(
        item_ids.indices(click.item_id for click in clicks),
        np.array([click.event_ts for click in clicks], np.int64),
        np.array(values, np.float32),
    )


def _needed_values(values: FeatureValues, requests: Sequence[GoldenRequest], items: set[str]) -> FeatureValues:
    """Only the rows that the answers to the requests depend on."""
    people = [golden.request.user_id for golden in requests if golden.request.user_id is not None]
    of_people, of_items = pl.col("user_id").is_in(people), pl.col("item_id").is_in(sorted(items))
    return replace(
        values,
        users=values.users.filter(of_people),
        items=values.items.filter(of_items),
        histories=values.histories.filter(of_people),
    )


def _check_answer(release: Release, expected: ExpectedAnswer, slate: Slate, tolerance: float) -> None:
    difference = _first_difference(expected, slate, tolerance)
    if difference:
        raise ReleaseMismatch(
            f"Golden query {slate.request_id} of release {release.release_id}: {difference}",
            "The code or the libraries differ from those it was built with. Check its code out "
            "(`git checkout release/<id>`), or build a release with these: `dvc repro release`.",
        )


def _first_difference(expected: ExpectedAnswer, slate: Slate, tolerance: float) -> str:
    """The first difference in a sentence with both values; empty where there is none."""
    answered = ExpectedAnswer.of(slate)
    if slate.degraded:
        return f"the answer had to do without {', '.join(slate.degraded)}."
    if answered.tier != expected.tier:
        return f"expected tier {expected.tier}, found {answered.tier}."
    if len(answered.items) != len(expected.items):
        return f"expected {len(expected.items)} items, found {len(answered.items)}."
    for position, (one, other) in enumerate(zip(expected.items, answered.items, strict=True), start=1):
        (item_id, score), (answered_id, answered_score) = one, other
        if item_id != answered_id:
            return f"expected item {item_id} at position {position}, found {answered_id}."
        if abs(score - answered_score) > tolerance:
            return f"expected score {score} for item {item_id} at position {position}, found {answered_score}."
    return ""


def load_queries(folder: Path) -> tuple[datetime, list[tuple[GoldenRequest, ExpectedAnswer]]]:
    """`now`, and the queries with the answers expected; raises ArtefactError when they are missing or damaged."""
    with reading(folder / QUERIES):
        file = _QUERY_FILE.validate_json((folder / QUERIES).read_bytes(), strict=True)
        return file.now, [(GoldenRequest(query.request, query.session), query.answer) for query in file.queries]


def _request_of(value: Any) -> RecommendRequest:
    """A request; its filter has a form of its own."""
    if not isinstance(value, dict):
        raise ValueError(f"{value!r:.60} is no request")  # noqa: TRY004 pydantic takes a ValueError alone
    # As JSON once more: strictly, a list is no tuple, and a word no member of an enumeration, but in JSON.
    rest = json.dumps({name: one for name, one in value.items() if name != "filter"})
    request = _REQUEST.validate_json(rest, strict=True)
    try:
        return replace(request, filter=filter_of(value["filter"])) if "filter" in value else request
    except WrongInput as error:
        raise ValueError(error.problem) from error


@dataclass(frozen=True)
class _Query:
    request: Annotated[RecommendRequest, PlainValidator(_request_of)]
    session: tuple[Click, ...]
    answer: ExpectedAnswer


@dataclass(frozen=True)
class _QueryFile:
    now: AwareDatetime
    queries: list[_Query]


_QUERY_FILE = TypeAdapter(_QueryFile)
_REQUEST = TypeAdapter(RecommendRequest)
