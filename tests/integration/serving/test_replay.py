"""What a server answered over HTTP is answered again from its log, by another process, byte for byte."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from contracts.errors import ArtefactError, DataTooSmall
from feature_store.online.keys import requests_key
from release.replay.replay import Outcome, replay_logged
from release.replay.request_log import latest_answers, logged_answer
from tests.integration.serving.worlds import Stage, ask, wait_until

# Starlette's test client asks for another HTTP library than the one it still works with.
pytestmark = pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient`")

QUESTIONS: list[dict[str, Any]] = [
    {"user_id": "u500", "k": 5, "explain": True},
    {"user_id": "u501", "session_id": "visit-2"},
    {"user_id": "nobody", "context": {"gender": "F"}},
    {"session_id": "visit-1", "explain": True},
    {"user_id": "u502", "surface": "item", "item_id": "i1002"},
]


def asked(client: Any, stage: Stage) -> list[dict[str, Any]]:
    """Clicks, then every question; until the log has them."""
    for who in ({"session_id": "visit-1"}, {"user_id": "u501", "session_id": "visit-2"}):
        for item_id in ("i1003", "i1007"):
            client.post("/v1/events", json={"event_type": "click", "item_id": item_id, **who}).raise_for_status()
    slates = [ask(client, **question) for question in QUESTIONS]
    wait_until(lambda: stage.redis.xlen(requests_key(stage.settings.app)) == len(QUESTIONS))
    return slates


def test_logged_requests_are_answered_again_byte_for_byte(client: Any, stage: Stage) -> None:
    slates = asked(client, stage)
    answers, n_untold = latest_answers(stage.redis, stage.settings.app, 100)
    assert n_untold == 0
    replayed = list(replay_logged(stage.home, answers))
    assert [one.outcome for one in replayed] == [Outcome.SAME] * len(QUESTIONS)
    again = {one.logged.request.request_id: one.slate for one in replayed}
    for slate in slates:
        items = again[slate["request_id"]].items  # type: ignore[union-attr]
        assert [(item.item_id, item.score) for item in items] == [
            (item["item_id"], item["score"]) for item in slate["items"]
        ]


def test_the_account_of_a_request_is_found_by_its_id_and_another_is_not(client: Any, stage: Stage) -> None:
    slates = asked(client, stage)
    length = stage.settings.serving.request_log_length
    logged = logged_answer(stage.redis, stage.settings.app, slates[1]["request_id"], length)
    assert logged.request.user_id == "u501"
    assert len(logged.moment.session) == len(logged.moment.recent) == 2
    with pytest.raises(ArtefactError, match="holds no request 'never-asked'"):
        logged_answer(stage.redis, stage.settings.app, "never-asked", length)


def test_a_release_that_is_kept_no_more_is_told(client: Any, stage: Stage) -> None:
    asked(client, stage)
    answers, _ = latest_answers(stage.redis, stage.settings.app, 1)
    (gone,) = replay_logged(stage.home, [replace(answers[0], release_id="r-000000000000")])
    assert gone.outcome is Outcome.GONE
    assert "r-000000000000" in str(gone.why_gone)


def test_a_record_of_a_server_of_before_tells_no_answer(stage: Stage) -> None:
    key = requests_key(stage.settings.app)
    with pytest.raises(DataTooSmall, match="is empty"):
        latest_answers(stage.redis, stage.settings.app, 10)
    record = {"ts": "2020-01-01T00:00:00+00:00", "arm": "production", "request": {"request_id": "old"}}
    stage.redis.xadd(key, {"record": json.dumps(record).encode()})
    assert latest_answers(stage.redis, stage.settings.app, 10) == ([], 1)
    with pytest.raises(ArtefactError, match="does not tell what request 'old' was answered"):
        logged_answer(stage.redis, stage.settings.app, "old", 100)
