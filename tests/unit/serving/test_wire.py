"""What comes in is typed and bounded, and nothing is converted silently."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from contracts.filters import Condition, Operator
from contracts.slates import Preferences, RecommendRequest, Surface
from serving.wire import MAX_EVENTS, EventBatch, Question, SentEvent, SentEvents

CLICK = {"event_type": "click", "session_id": "s1", "item_id": "i1000"}


def test_a_question_becomes_the_request_it_asks_for() -> None:
    question = Question.model_validate(
        {
            "user_id": "u500",
            "session_id": "s1",
            "surface": "item",
            "item_id": "i1001",
            "preferences": {"categories": ["drama"], "item_ids": ["i1002"]},
            "context": {"age": "34"},
            "k": 7,
            "explain": True,
            "filter": {"field": "price", "operator": "at_most", "value": 50},
        }
    )
    assert question.to_request("q1", seed=5) == RecommendRequest(
        request_id="q1",
        user_id="u500",
        session_id="s1",
        surface=Surface.ITEM,
        item_id="i1001",
        preferences=Preferences(("drama",), ("i1002",)),
        context={"age": "34"},
        k=7,
        seed=5,
        explain=True,
        filter=Condition("price", Operator.AT_MOST, 50.0),
    )


def test_a_question_may_name_its_placement_and_an_item_beside_it() -> None:
    beside = Question.model_validate({"placement": "more_like_it", "item_id": "i1001"})
    assert beside.to_request("q1", seed=5) == RecommendRequest("q1", item_id="i1001", placement="more_like_it", seed=5)
    with pytest.raises(ValidationError, match="send `placement` or `surface`, not both"):
        Question.model_validate({"placement": "more_like_it", "surface": "item", "item_id": "i1001"})


def test_an_empty_question_asks_for_what_is_popular() -> None:
    assert Question.model_validate({}).to_request("q1", seed=0) == RecommendRequest(request_id="q1")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("k", 0),
        ("k", 501),
        ("k", "10"),
        ("k", 10.0),
        ("k", True),
        ("user_id", ""),
        ("user_id", "x" * 257),
        ("user_id", 42),
        ("user_id", "\ud800"),
        ("surface", "cart"),
        ("surface", "item"),
        ("item_id", "i1000"),
        ("context", {str(number): "x" for number in range(17)}),
        ("context", {"age": 34}),
        ("context", {"age": "x" * 257}),
        ("context", {"x" * 65: "34"}),
        ("preferences", {"categories": ["drama"] * 33}),
        ("preferences", {"moods": []}),
        ("usr_id", "42"),
        ("explain", "yes"),
        ("placement", ""),
        ("placement", 5),
        ("filter", "price < 5"),
        ("filter", {"field": "price", "operator": "below", "value": 5}),
    ],
)
def test_a_field_of_another_type_or_out_of_bounds_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        Question.model_validate({field: value})


@pytest.mark.parametrize(
    "change",
    [
        {"event_type": "impression"},
        {"event_type": "stare"},
        {"session_id": None},
        {"item_id": None},
        {"value": float("nan")},
        {"value": float("inf")},
        {"value": 1e300},
        {"event_ts": "2020-01-01T00:00:00"},
        {"event_ts": "1969-12-31T23:59:59Z"},
        {"event_ts": "0001-01-01T00:00:00+14:00"},
        {"event_ts": "yesterday"},
        {"mood": "good"},
    ],
)
def test_an_event_that_is_unclear_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SentEvent.model_validate({**CLICK, **change})


def test_a_signup_is_about_no_item() -> None:
    assert SentEvent.model_validate({"event_type": "signup", "user_id": "u1"}).item_id is None


def test_a_time_comes_with_its_zone() -> None:
    event = SentEvent.model_validate({**CLICK, "event_ts": "2020-01-01T01:00:00+01:00"})
    assert event.event_ts == datetime(2020, 1, 1, tzinfo=UTC)


def test_events_come_one_at_a_time_or_in_a_batch() -> None:
    either = TypeAdapter(SentEvents)
    assert isinstance(either.validate_python(CLICK), SentEvent)
    assert isinstance(either.validate_python({"events": [CLICK]}), EventBatch)
    for wrong in ({"events": []}, {"events": [CLICK] * (MAX_EVENTS + 1)}, {"events": [CLICK], **CLICK}, [CLICK]):
        with pytest.raises(ValidationError):
            either.validate_python(wrong)


@given(st.text(min_size=1, max_size=256))
def test_any_text_of_bounded_length_is_an_id(text: str) -> None:
    assert Question.model_validate({"user_id": text}).user_id == text


EVENT_OF_45_UNKNOWN_FIELDS = {**CLICK, **{f"field_{number}": number for number in range(45)}}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (EventBatch, {"events": [EVENT_OF_45_UNKNOWN_FIELDS] * 500}),
        (EventBatch, {"events": [{"event_type": 1, "user_id": 2, "session_id": 3, "item_id": 4, "value": ""}] * 500}),
        (EventBatch, {"events": [0] * 100_000}),
        (SentEvent, {**CLICK, **{str(number): number for number in range(20_000)}}),
        (Question, {str(number): number for number in range(20_000)}),
        (Question, {"context": {str(number): number for number in range(20_000)}}),
        (Question, {"preferences": {"item_ids": list(range(20_000)), "categories": list(range(20_000))}}),
        (Question, {"filter": {"all": [0] * 20_000}}),
        (Question, {"preferences": {str(number): number for number in range(20_000)}}),
    ],
)
def test_whatever_comes_the_problems_collected_are_few(kind: Any, body: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        kind.model_validate(body)
    assert refused.value.error_count() <= 20


def test_a_few_unknown_fields_are_named_one_by_one_and_many_in_one_sentence() -> None:
    with pytest.raises(ValidationError) as refused:
        Question.model_validate({"usr": 1, "kk": 2})
    assert {error["loc"][0] for error in refused.value.errors()} == {"usr", "kk"}
    with pytest.raises(ValidationError, match="45 fields are unknown here, among them 'field_0'"):
        SentEvent.model_validate(EVENT_OF_45_UNKNOWN_FIELDS)
