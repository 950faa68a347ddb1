from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from contracts.errors import DataTooSmall
from contracts.id_map import IdMap
from contracts.tables import INTERACTIONS_SCHEMA, ITEMS_SCHEMA, USERS_SCHEMA, CanonicalTables
from recommender.exclusion import FOR_EVER, ExclusionRule
from release.evaluation.cases import (
    COLD_CONTEXT,
    COLD_POPULAR,
    COLD_SESSION,
    WARM,
    EvaluationCase,
    build_cases,
    known_days_before,
    popularity_before,
    sessions_of,
)

START = datetime(2020, 6, 1, tzinfo=UTC)
ITEMS = IdMap.of(f"i{item}" for item in range(6))


def tables(events: list[tuple[str, str, int]], demographics: dict[str, str] | None = None) -> CanonicalTables:
    """events: user, item, seconds since the window started; demographics: gender by user."""
    rows = [
        {
            "user_id": user,
            "item_id": item,
            "event_type": "rating",
            "event_ts": START + timedelta(seconds=seconds),
            "value": 4.0,
        }
        for user, item, seconds in events
    ]
    told = [{"user_id": user, "gender": gender} for user, gender in (demographics or {}).items()]
    return CanonicalTables(
        pl.DataFrame(rows, schema=INTERACTIONS_SCHEMA),
        pl.DataFrame([{"item_id": item_id} for item_id in ITEMS.ids], schema=ITEMS_SCHEMA),
        pl.DataFrame(told, schema=USERS_SCHEMA),
    )


def cases_of(
    world: CanonicalTables, max_people: int = 100, excluding: ExclusionRule = FOR_EVER
) -> dict[str, tuple[EvaluationCase, ...]]:
    return build_cases(world, ITEMS, START, 20, max_people, np.random.default_rng(5), excluding)


WARM_PERSON = [("warm", "i0", -1), ("warm", "i1", 0)]


def test_an_event_just_before_the_window_is_history_and_one_on_its_start_is_wanted() -> None:
    (case,) = cases_of(tables(WARM_PERSON))[WARM]
    assert case.relevant.tolist() == ITEMS.indices(["i1"]).tolist()
    assert (case.request.user_id, case.request.k, case.now) == ("warm", 20, START)


def test_what_was_seen_before_is_not_wanted_again() -> None:
    events = [*WARM_PERSON, ("warm", "i0", 5), ("again", "i2", -1), ("again", "i2", 1)]
    cases = cases_of(tables(events))[WARM]
    assert [(case.user_id, case.relevant.tolist()) for case in cases] == [("warm", [1])]


def test_what_may_be_shown_again_may_be_wanted_again() -> None:
    day = 86_400
    events = [
        *WARM_PERSON,
        ("again", "i2", -2 * day),
        ("again", "i3", 1 - 2 * day),
        ("again", "i2", 1),
        ("again", "i3", 1),
    ]
    cases = cases_of(tables(events), excluding=ExclusionRule(days=2))[WARM]
    assert [(case.user_id, case.relevant.tolist()) for case in cases] == [("again", [2]), ("warm", [1])]


def test_people_without_events_in_the_window_are_not_asked_about() -> None:
    cases = cases_of(tables([*WARM_PERSON, ("gone", "i2", -9)]))
    assert {case.user_id for group in cases.values() for case in group} == {"warm"}


def test_of_many_people_only_so_many_are_drawn_and_they_stay_in_the_order_of_their_ids() -> None:
    events = [(f"p{number}", item, at) for number in range(30) for item, at in (("i0", -1), ("i1", 1))]
    everybody, drawn = ([case.user_id for case in cases_of(tables(events), most)[WARM]] for most in (30, 7))
    assert len(everybody) == 30
    assert len(drawn) == 7
    assert drawn == sorted(drawn)
    assert drawn != everybody[:7]


def test_newcomers_are_asked_about_as_strangers_with_their_context_and_after_two_clicks() -> None:
    newcomer = [("new", "i3", 7), ("new", "i2", 5), ("new", "i4", 9), ("new", "i2", 11)]
    cases = cases_of(tables([*WARM_PERSON, *newcomer], {"new": "F"}))
    (stranger,), (known,), (visitor,) = cases[COLD_POPULAR], cases[COLD_CONTEXT], cases[COLD_SESSION]
    assert (stranger.request.user_id, stranger.request.session_id) == (None, None)
    assert stranger.relevant.tolist() == [2, 3, 4]
    assert known.request.context == {"gender": "F"}
    assert visitor.session.item_idx.tolist() == [2, 3]  # the first two by time
    assert visitor.relevant.tolist() == [4]
    assert visitor.now == START + timedelta(seconds=8)  # one second after the second click
    assert sessions_of([stranger, visitor]) == {visitor.request.session_id: visitor.session}


def test_a_newcomer_without_demographics_has_no_context_case_and_one_with_two_events_no_session_case() -> None:
    cases = cases_of(tables([*WARM_PERSON, ("new", "i3", 7), ("new", "i2", 5)]))
    assert len(cases[COLD_POPULAR]) == 1
    assert cases[COLD_CONTEXT] == cases[COLD_SESSION] == ()


def test_nobody_with_history_is_too_little_data() -> None:
    with pytest.raises(DataTooSmall, match="Nobody with events before"):
        cases_of(tables([("new", "i3", 7)]))


def test_impressions_are_no_wishes() -> None:
    shown = tables([*WARM_PERSON, ("warm", "i4", 3)])
    interactions = shown.interactions.with_columns(
        event_type=pl.when(pl.col("item_id") == "i4").then(pl.lit("impression")).otherwise(pl.col("event_type"))
    )
    (case,) = cases_of(CanonicalTables(interactions, shown.items, shown.users))[WARM]
    assert case.relevant.tolist() == [1]


def test_popularity_is_the_share_of_people_who_knew_the_item_before_the_window() -> None:
    events = [("a", "i0", -3), ("a", "i0", -2), ("a", "i1", -1), ("b", "i0", -1), ("b", "i5", 0)]
    found = popularity_before(tables(events), ITEMS, START)
    assert found == pytest.approx(np.array([2 / 2, 1 / 2, 0, 0, 0, 0]))


def test_an_item_is_known_from_the_first_time_that_anybody_touched_it_before_the_window() -> None:
    day = 24 * 60 * 60
    events = [("a", "i1", -day), ("b", "i1", -2 * day), ("a", "i0", -1), ("a", "i2", 0)]
    found = known_days_before(tables(events), ITEMS, START)
    assert found == pytest.approx([1 / day, 2, np.nan, np.nan, np.nan, np.nan], nan_ok=True)
