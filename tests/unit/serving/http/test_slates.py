"""What is made of requests: bodies, metrics and what is logged; what is popular is encoded before it is asked for."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from contracts.clock import FixedClock
from contracts.filters import Condition, Operator
from contracts.logged_slates import single_records
from contracts.slates import Preferences, RecommendRequest, Surface
from serving.http.answers import json_bytes
from serving.http.load import ServiceLevel
from serving.http.slates import Asked, Shown, Slates
from serving.metrics import Metrics
from serving.served import Arm, Served
from tests.unit.release.made_up_release import NOW, made_up_reader, made_up_release

HISTORIES = {"u1": ["i10", "i11", "i12"], "u2": ["i13", "i14", "i15"]}


class FakeLog:
    """Notes what it is handed; the values of u1's answers are wanted."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.questions: list[Any] = []
        self.asked_of_values: list[Any] = []
        self.requests = SimpleNamespace(
            append=lambda request, arm, now, answered: self.questions.append(request.request_id),
            leave_out=lambda: self.questions.append("left out"),
        )
        self.values = SimpleNamespace(
            wants=lambda request_id: request_id == "of u1",
            append=lambda values, arm: self.asked_of_values.append(values().request_id),
            leave_out=lambda: self.asked_of_values.append("left out"),
        )

    def append(self, n_records: int, make: Any) -> None:
        made = [orjson.loads(record) for record in make()]
        assert len(made) == n_records
        self.records.extend(one for record in made for one in single_records(record))


def served(**fields: Any) -> Served:
    reader = made_up_reader(HISTORIES)
    return Served(Arm.CANARY, made_up_release(), reader, FixedClock(NOW), online=True, **fields)


def asked(**fields: Any) -> Asked:
    return Asked(RecommendRequest(**{"request_id": "0123456789abcdef", "k": 3, **fields}), time.perf_counter())


def slates() -> tuple[Slates, FakeLog, Metrics]:
    log, metrics = FakeLog(), Metrics()
    return Slates(log, metrics), log, metrics  # type: ignore[arg-type]


def encoded(shown: Shown) -> bytes:
    """The body as it is made of the slate, without anything kept."""
    return json_bytes({**vars(shown.slate), "arm": shown.arm})


def test_what_is_popular_is_what_the_request_would_get_however_often_it_is_asked() -> None:
    making, _, _ = slates()
    one = served(missing=("sessions",))
    for number, (k, explain) in enumerate(2 * [(1, False), (3, False), (3, True), (20, True)]):
        question = asked(request_id=f"q{number}", user_id="u1", k=k, explain=explain)
        shown = making.popular(one, question)
        slow = one.popular(question.request)
        assert shown.slate.timings_ms == {"queue": 0.0}
        assert (shown.slate.items, shown.slate.degraded) == (slow.items, ("person", "sessions"))
        assert (shown.slate.request_id, shown.slate.policy_id, shown.slate.tier) == (f"q{number}", "popular", slow.tier)
        assert shown.body == encoded(shown)
        assert (shown.request, shown.arm, shown.now) == (question.request, Arm.CANARY, NOW)


@pytest.mark.parametrize(
    "special",
    [
        {"surface": Surface.ITEM, "item_id": "i10"},
        {"preferences": Preferences(item_ids=("i10",))},
        {"filter": Condition("categories", Operator.EQUALS, "drama")},
    ],
)
def test_what_a_request_names_counts_after_others_asked_for_nothing_special(special: dict[str, Any]) -> None:
    making, _, _ = slates()
    one = served()
    plain = making.popular(one, asked(k=20))
    shown = making.popular(one, asked(k=20, **special))
    assert shown.slate.items == one.popular(asked(k=20, **special).request).items
    assert shown.slate.items != plain.slate.items
    assert shown.body == encoded(shown)


def test_what_is_shown_is_logged_position_by_position_when_it_is_sent() -> None:
    making, log, metrics = slates()
    shown = making.popular(served(), asked(user_id="u1", session_id="s1"))
    assert log.records == []
    making.note_sent(shown)
    assert [(record["item_id"], record["position"]) for record in log.records] == [
        (item.item_id, item.position) for item in shown.slate.items
    ]
    for record in log.records:
        assert (record["user_id"], record["session_id"], record["arm"]) == ("u1", "s1", "canary")
        assert (record["policy_id"], record["degraded"], record["tier"]) == ("popular", ["person"], "popular")
        assert record["request_id"] == shown.slate.request_id
        assert record["event_ts"] == NOW.isoformat()
    value = metrics.registry.get_sample_value
    assert value("slate_degraded_total", {"what": "person", "arm": "canary"}) == 1


@pytest.mark.parametrize(
    ("level", "questions", "values"),
    [
        (ServiceLevel.EVERYTHING, ["of u1", "of u2"], ["of u1"]),
        (ServiceLevel.FEWER_CANDIDATES, ["of u1", "of u2"], ["left out"]),
        (ServiceLevel.POPULAR, ["left out", "left out"], []),
    ],
)
def test_under_load_the_samples_are_shed_and_counted_and_no_impression_is(
    level: ServiceLevel, questions: list[str], values: list[str]
) -> None:
    making, log, _ = slates()
    shown = making.answer(level, served(), [asked(request_id=f"of {user}", user_id=user) for user in ("u1", "u2")])
    for one in shown:
        making.note_sent(one)
    assert (log.questions, log.asked_of_values) == (questions, values)
    assert [record["request_id"] for record in log.records] == ["of u1"] * 3 + ["of u2"] * 3
    assert [one.body for one in shown] == [encoded(one) for one in shown]


def test_an_answer_says_how_long_it_waited_since_it_was_read() -> None:
    making, _, metrics = slates()
    early = Asked(RecommendRequest("q", "u1", k=3), time.perf_counter() - 3.0)
    [shown] = making.answer(ServiceLevel.EVERYTHING, served(), [early])
    assert shown.slate.timings_ms["queue"] >= 3000
    stage = {"stage": "queue", "arm": "canary"}
    assert (metrics.registry.get_sample_value("slate_stage_seconds_sum", stage) or 0.0) >= 3
    assert datetime.now(UTC) > NOW
