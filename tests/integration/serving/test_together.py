"""Over HTTP: who waits is answered together, with the slate they would get alone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from serving.http.api import Api
from serving.served import Served
from tests.integration.serving.worlds import Stage, fetch, listening, wait_until

QUESTIONS: list[dict[str, Any]] = [
    {"user_id": "u500", "explain": True},
    {"user_id": "u501", "k": 3},
    {"user_id": "nobody"},
    {"context": {"gender": "F"}, "explain": True},
    {"user_id": "u502", "surface": "item", "item_id": "i1000"},
    {"session_id": "s", "k": 5},
    {"preferences": {"item_ids": ["i1001"]}},
    {"user_id": "u500", "filter": {"field": "categories", "operator": "equals", "value": "drama"}},
    {"user_id": "u500"},
]


class Held:
    """Blocks of requests wait until `may_go`; `sizes` says how many were answered together."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.may_go, self.under_way, self.sizes = threading.Event(), threading.Semaphore(0), []
        answer = Served.answer_many

        def held(served: Served, requests: Any, *wanted: Any) -> Any:
            self.sizes.append(len(requests))
            self.under_way.release()
            self.may_go.wait()
            return answer(served, requests, *wanted)

        monkeypatch.setattr(Served, "answer_many", held)


def slate(answer: dict[str, Any]) -> dict[str, Any]:
    """What of an answer does not tell this request from the same asked again."""
    return {name: value for name, value in answer.items() if name not in {"request_id", "timings_ms"}}


def test_a_slate_is_the_same_alone_and_among_those_that_waited(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.point_at(0)
    with listening(stage) as (api, port), ThreadPoolExecutor(16) as clients:

        def ask(question: dict[str, Any]) -> tuple[int, Any]:
            status, _, answer = fetch(port, "POST", "/v1/recommend", question)
            return status, answer

        assert ask({"session_id": "s", "item_id": "i1000", "surface": "item"})[0] == 200
        click = {"event_type": "click", "session_id": "s", "item_id": "i1000"}
        assert fetch(port, "POST", "/v1/events", click)[0] == 202
        alone = [slate(ask(question)[1]) for question in QUESTIONS]
        held = Held(monkeypatch)
        busy = clients.submit(ask, {})
        held.under_way.acquire()
        waiting = []
        for number, question in enumerate(QUESTIONS, start=1):
            waiting.append(clients.submit(ask, question))
            wait_until(lambda n=number: api.queue.n_waiting == n)
        assert ask({"surface": "item", "item_id": "nothing"})[0] == 422  # at once, and nobody else's trouble
        held.may_go.set()
        together = [one.result() for one in waiting]
        assert busy.result()[0] == 200
    assert held.sizes == [1, len(QUESTIONS)]
    assert [status for status, _ in together] == [200] * len(QUESTIONS)
    assert [slate(answer) for _, answer in together] == alone
    assert {len(answer["items"]) for answer in alone} == {3, 5, 6, 10}  # six pass the filter


def n_looks(api: Api) -> float:
    return api.metrics.registry.get_sample_value("slate_loop_lag_seconds_count") or 0.0


def test_a_server_that_runs_looks_how_late_its_loop_is(stage: Stage) -> None:
    stage.point_at(0)
    with listening(stage) as (api, _):
        wait_until(lambda: n_looks(api) > 2)
    n_before = n_looks(api)
    api.note_lag(mean_ms=70.0, latest_ms=90.0)
    assert api.queue.load.lag_ms == 70.0  # of late: what is shed follows from it
    assert api.metrics.registry.get_sample_value("slate_loop_lag_seconds_bucket", {"le": "0.1"}) == n_before + 1
