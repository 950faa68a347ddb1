"""Who is asked about in the test window, what is known of them, and what they then wanted.

warm           people with events before the window, asked about at its start
cold_popular   people without, of whom nothing is known
cold_context   the same people, with their demographics and the circumstances of their first visit
cold_session   the same people after their first two events, judged on the rest
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import polars as pl

from contracts.calendar import SECONDS_PER_DAY
from contracts.errors import DataTooSmall
from contracts.features import History, OlderEvents
from contracts.id_map import IdMap
from contracts.ids import FloatArray, ItemIdxArray, SessionId, UserId
from contracts.positive_events import positive_events
from contracts.slates import RecommendRequest
from contracts.tables import CanonicalTables, type_codes
from recommender.exclusion import FOR_EVER, ExclusionRule
from recommender.ranking.training_queries import SESSION_EVENTS
from recommender.segments import ATTRIBUTES, segment_of

WARM: Final = "warm"
COLD_POPULAR: Final = "cold_popular"
COLD_CONTEXT: Final = "cold_context"
COLD_SESSION: Final = "cold_session"
CONTEXT_COLUMNS: Final = ("age", *ATTRIBUTES)


@dataclass(frozen=True)
class EvaluationCase:
    """A request, and what its slate should have shown.

    relevant: the items the person touched afterwards, excluded ones left out, in the dense ids of whoever judges;
    session: in those of the release that is asked.
    """

    user_id: str
    request: RecommendRequest
    now: datetime
    relevant: ItemIdxArray
    session: History = field(default_factory=History.empty)


def build_cases(
    tables: CanonicalTables,
    item_ids: IdMap,
    test_start: datetime,
    k: int,
    max_people: int,
    rng: np.random.Generator,
    excluding: ExclusionRule = FOR_EVER,
) -> dict[str, tuple[EvaluationCase, ...]]:
    """The cases of every group, people in the order of their ids; each asks for a slate of k.

    max_people: where more were active in the window, so many of them are drawn. excluding: what is not shown to a
    person again: wanting it again counts for nobody.
    Raises DataTooSmall when nobody with events before the window wanted anything new in it.
    """
    people = list(_active_people(tables, item_ids, test_start, max_people, rng))
    contexts = known_contexts(tables.users)
    groups = {
        WARM: [_known_case(person, test_start, k, excluding) for person in people if len(person.before)],
        COLD_POPULAR: [_newcomer_case(person, test_start, k, {}) for person in people if not len(person.before)],
        COLD_CONTEXT: [
            _newcomer_case(person, test_start, k, contexts[person.user_id])
            for person in people
            if not len(person.before) and person.user_id in contexts
        ],
        COLD_SESSION: [_session_case(person, k, excluding) for person in people if not len(person.before)],
    }
    cases = {name: tuple(case for case in group if len(case.relevant)) for name, group in groups.items()}
    if not cases[WARM]:
        raise DataTooSmall(
            f"Nobody with events before {test_start.isoformat()} wanted anything new after it.",
            "Bring more data, or lower features.train_share in params.yaml, so that the test window grows.",
        )
    return cases


def popularity_before(tables: CanonicalTables, item_ids: IdMap, test_start: datetime) -> np.ndarray[Any, Any]:
    """(n_items,) float32, the share of the people before the window who had touched each item."""
    before = _positive_events(tables, item_ids).filter(pl.col("event_ts") < test_start)
    pairs = before.select("user_id", "item_idx").unique()
    n_people = max(pairs["user_id"].n_unique(), 1)
    counts = np.bincount(pairs["item_idx"].to_numpy(), minlength=len(item_ids))
    return (counts / n_people).astype(np.float32)


def known_days_before(tables: CanonicalTables, item_ids: IdMap, test_start: datetime) -> FloatArray:
    """(n_items,) how many days before the window each item was first touched; NaN where nobody had."""
    first = (
        _positive_events(tables, item_ids)
        .filter(pl.col("event_ts") < test_start)
        .group_by("item_idx")
        .agg(pl.col("event_ts").min())
    )
    days = np.full(len(item_ids), np.nan, np.float32)
    days[first["item_idx"].to_numpy()] = (test_start - first["event_ts"]).dt.total_seconds() / SECONDS_PER_DAY
    return days


@dataclass(frozen=True)
class _ActivePerson:
    user_id: str
    before: History
    window: History


def _positive_events(tables: CanonicalTables, item_ids: IdMap) -> pl.DataFrame:
    events = positive_events(tables.interactions)
    item_idx = pl.Series("item_idx", item_ids.indices(events["item_id"]))
    return events.with_columns(item_idx).filter(pl.col("item_idx") >= 0)


def _active_people(
    tables: CanonicalTables, item_ids: IdMap, test_start: datetime, max_people: int, rng: np.random.Generator
) -> Iterator[_ActivePerson]:
    """People with an event in the window, in the order of user_id."""
    events = _positive_events(tables, item_ids).sort("user_id", "event_ts", "item_id")
    active = events.filter(pl.col("event_ts") >= test_start)["user_id"].unique().sort()
    if len(active) > max_people:
        active = active[rng.choice(len(active), max_people, replace=False)]
    for (user_id,), mine in events.filter(pl.col("user_id").is_in(active.implode())).group_by(
        "user_id", maintain_order=True
    ):
        before, window = (
            mine.filter(part) for part in (pl.col("event_ts") < test_start, pl.col("event_ts") >= test_start)
        )
        yield _ActivePerson(str(user_id), _history(before), _history(window))


def _history(events: pl.DataFrame) -> History:
    return History(
        events["item_idx"].to_numpy().astype(np.int32),
        events["event_ts"].dt.epoch("s").to_numpy().astype(np.int64),
        events.select(type_codes())["event_type"].to_numpy().astype(np.uint8),
        events["value"].fill_null(float("nan")).to_numpy().astype(np.float32),
    )


def _known_case(person: _ActivePerson, test_start: datetime, k: int, excluding: ExclusionRule) -> EvaluationCase:
    request = RecommendRequest(f"{WARM}/{person.user_id}", user_id=UserId(person.user_id), k=k)
    excluded = excluding.items(person.before, OlderEvents.empty(), int(test_start.timestamp()))
    relevant = np.setdiff1d(person.window.item_idx, excluded).astype(np.int32)
    return EvaluationCase(person.user_id, request, test_start, relevant)


def _newcomer_case(person: _ActivePerson, test_start: datetime, k: int, context: Mapping[str, str]) -> EvaluationCase:
    group = COLD_CONTEXT if context else COLD_POPULAR
    request = RecommendRequest(f"{group}/{person.user_id}", context=dict(context), k=k)
    return EvaluationCase(person.user_id, request, test_start, np.unique(person.window.item_idx))


def _session_case(person: _ActivePerson, k: int, excluding: ExclusionRule) -> EvaluationCase:
    window = person.window
    first = window.where(slice(SESSION_EVENTS))
    clicked = History.without_types(first.item_idx, first.event_ts, first.values)
    request_id = f"{COLD_SESSION}/{person.user_id}"
    # The visitor asks one second after the last click, and knows nothing of what comes.
    now = datetime.fromtimestamp(int(clicked.event_ts[-1]) + 1, UTC)
    excluded = excluding.items(clicked, OlderEvents.empty(), int(now.timestamp()))
    relevant = np.setdiff1d(window.item_idx[SESSION_EVENTS:], excluded).astype(np.int32)
    return EvaluationCase(
        person.user_id,
        RecommendRequest(request_id, session_id=SessionId(request_id), k=k),
        now,
        relevant,
        clicked,
    )


def known_contexts(users: pl.DataFrame) -> dict[str, dict[str, str]]:
    """By user_id, what is known of people beforehand, where it makes a segment."""
    contexts = {}
    for row in users.iter_rows(named=True):
        context = {name: str(row[name]) for name in CONTEXT_COLUMNS if row.get(name) is not None}
        if segment_of(context):
            contexts[row["user_id"]] = context
    return contexts


def sessions_of(cases: Sequence[EvaluationCase]) -> dict[SessionId, History]:
    """What a reader has to know of the sessions that the cases speak of."""
    return {case.request.session_id: case.session for case in cases if case.request.session_id is not None}
