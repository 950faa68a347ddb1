"""What was answered is answered again, byte for byte, from the log's record and what a machine keeps."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.clock import FixedClock
from contracts.errors import ArtefactError
from contracts.events import EVENT_CODES, EventType
from contracts.features import RecentEvents
from contracts.slates import Preferences, RecommendRequest, Slate, Surface
from release.answering.request_path import answer_many
from release.parity.used_values import ValuesRecorder
from release.replay.logged_answer import LoggedAnswer, Moment, answered_fields, parse_answer, slate_fingerprint
from release.replay.replay import Answerer, MomentReader, Outcome, counts

BUNDLE = Path("tests/golden/bundle_v6")


@cache
def answerer() -> Answerer:
    return Answerer.of(BUNDLE, BUNDLE / "values")


def events(*done: tuple[str, EventType, float]) -> RecentEvents:
    """Items and what was done with them, so many seconds before the release's data ends."""
    release = answerer().release
    end_us = round(release.as_of.timestamp() * 1e6)
    return RecentEvents(
        release.catalogue.ids.indices([item for item, _, _ in done]),
        np.array([end_us - round(seconds * 1e6) for _, _, seconds in done], np.int64),
        np.array([EVENT_CODES[event_type] for _, event_type, _ in done], np.uint8),
        np.full(len(done), np.nan, np.float32),
    )


def logged(request: RecommendRequest, moment: Moment, explored: bool = False) -> tuple[bytes, Slate]:
    """The record that a server leaves of a request answered in that moment, together with others; and the slate."""
    release, reader = served(explored).release, MomentReader(answerer().reader, moment)
    recorder, others = ValuesRecorder(), [RecommendRequest("other"), RecommendRequest("another", user_id="u502")]
    slates = answer_many(release, reader, FixedClock(moment.now), [others[0], request, others[1]], recorder)
    person, now = recorder.read(request.request_id) or pytest.fail("nothing was read")
    told = answered_fields(slates[1], Moment(now, person.session, person.recent))
    return orjson.dumps({"ts": now, "arm": "production", "request": request.to_json(), "answered": told}), slates[1]


def served(explored: bool) -> Answerer:
    one = answerer()
    rules = {"relevance_weight": 0.6, "exploration_share": 0.5} if explored else {}
    return replace(one, release=one.release.with_rules(**rules))


def moment(session: RecentEvents | None = None, recent: RecentEvents | None = None) -> Moment:
    nothing = RecentEvents.empty()
    now = answerer().release.as_of + timedelta(minutes=7, microseconds=3)
    return Moment(now, nothing if session is None else session, nothing if recent is None else recent)


CLICKS = [("i1003", EventType.CLICK, 100.5), ("i1007", EventType.PURCHASE, 30.000001), ("nothing", EventType.VIEW, 1)]
REQUESTS: dict[str, RecommendRequest] = {
    "a person": RecommendRequest("q", user_id="u500", explain=True, seed=5),
    "a person beside an item": RecommendRequest("q", user_id="u501", surface=Surface.ITEM, item_id="i1002", k=3),
    "nobody known": RecommendRequest("q", context={"gender": "F"}),
    "a visitor": RecommendRequest("q", session_id="s1", explain=True),
    "a newcomer": RecommendRequest("q", preferences=Preferences(("drama",), ("i1004",))),
}


@pytest.mark.parametrize("explored", [False, True], ids=["as shipped", "diversified and explored"])
@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
@pytest.mark.parametrize("done", [[], CLICKS], ids=["nothing just before", "clicks just before"])
def test_an_answer_is_given_again_byte_for_byte(request_: RecommendRequest, done: list[Any], explored: bool) -> None:
    visitor = events(*done) if request_.session_id else None
    person = events(*done) if request_.user_id else None
    record, slate = logged(request_, moment(visitor, person), explored)
    told = parse_answer(record)
    assert told is not None
    again = served(explored).answer_again(told)
    assert again.outcome is Outcome.SAME
    assert again.slate is not None
    assert replace(again.slate, timings_ms={}) == replace(slate, timings_ms={})


def test_another_answer_is_told_from_the_one_logged() -> None:
    told = parse_answer(logged(REQUESTS["a visitor"], moment(session=events(*CLICKS)))[0])
    assert told is not None
    quiet = replace(told, moment=told.moment._replace(session=RecentEvents.empty()))
    assert answerer().answer_again(quiet).outcome is Outcome.DIFFERENT
    assert answerer().answer_again(replace(told, fingerprint="0" * 16)).outcome is Outcome.DIFFERENT


def test_what_was_answered_without_something_is_not_asked_again() -> None:
    told = parse_answer(logged(REQUESTS["a person"], moment())[0])
    assert told is not None
    again = answerer().answer_again(replace(told, degraded=("ranker",)))
    assert (again.outcome, again.slate) == (Outcome.DEGRADED, None)
    assert counts([again]) == {
        "same": 0, "different": 0, "answered without something": 1, "release or generation gone": 0,
    }  # fmt: skip


@pytest.mark.parametrize("changed", [{"score": 0.25}, {"propensity": 0.5}, {"reasons": ("x",)}, {"title": "x"}])
def test_the_fingerprint_is_of_everything_but_the_time_it_took(changed: dict[str, Any]) -> None:
    _, slate = logged(REQUESTS["a person"], moment())
    items = (replace(slate.items[0], **changed), *slate.items[1:])
    assert slate_fingerprint(replace(slate, items=items)) != slate_fingerprint(slate)
    assert slate_fingerprint(replace(slate, timings_ms={"total": 9.0})) == slate_fingerprint(slate)


def test_a_record_of_before_tells_no_answer() -> None:
    content = json.loads(logged(REQUESTS["a person"], moment())[0])
    del content["answered"]
    assert parse_answer(json.dumps(content).encode()) is None


@given(st.data())
def test_what_is_no_record_is_refused_whatever_it_is(data: Any) -> None:
    content = json.loads(logged(REQUESTS["a person"], moment(recent=events(*CLICKS)))[0])
    name = data.draw(st.sampled_from(sorted(content["answered"])))
    content["answered"][name] = data.draw(st.sampled_from([None, 5, {"a": 1}, [[1, 2]], "2020-01-01T00:00:00", []]))
    try:
        told = parse_answer(json.dumps(content).encode())
    except ArtefactError:
        return
    assert isinstance(told, LoggedAnswer)
