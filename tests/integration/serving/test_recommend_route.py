"""Over HTTP: a question is answered alike before the application's layers and behind them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from serving.http.recommend_route import RecommendRoute
from tests.integration.serving.test_http import ALMOST_A_QUESTION, ANY_JSON, RECENT

pytestmark = pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient`")

BEHIND = "application/slate+json"  # as good as application/json, and unusual
QUESTIONS: list[dict[str, Any]] = [
    {},
    {"user_id": "u500", "k": 5, "explain": True},
    {"session_id": "s", "surface": "item", "item_id": "i1004"},
    {"preferences": {"categories": ["drama"], "item_ids": ["i1002"]}, "context": {"gender": "F"}},
    {"user_id": "u500", "filter": RECENT},
    {"user_id": "u500", "filter": None, "preferences": {}},
    {"surface": "item", "item_id": "i9"},
    {"preferences": {"categories": ["dramma"]}},
    {"filter": {**RECENT, "field": "price"}},
    {"k": 101},
]


def answered(client: Any, body: bytes, content_type: str) -> tuple[int, Any]:
    """Status and answer, but for what tells it from the same asked again."""
    answer = client.post("/v1/recommend", content=body, headers={"content-type": content_type})
    content = answer.json()
    return answer.status_code, {name: content[name] for name in content if name not in {"request_id", "timings_ms"}}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_is_answered_alike(client: Any, monkeypatch: pytest.MonkeyPatch, question: dict[str, Any]) -> None:
    body = json.dumps(question).encode()
    quick = answered(client, body, "application/json")
    monkeypatch.setattr(RecommendRoute, "_answer", None)  # whatever comes to it fails
    assert quick == answered(client, body, BEHIND)
    assert client.post("/v1/recommend", json=question).status_code == 500


# The function-scoped client is shared by the examples on purpose: what one leaves behind is the next one's weather.
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ANY_JSON | ALMOST_A_QUESTION | ANY_JSON.map(lambda value: {"filter": RECENT | {"value": value}}))
def test_whatever_is_asked_is_answered_alike(client: Any, question: Any) -> None:
    body = json.dumps(question).encode()
    assert answered(client, body, "application/json") == answered(client, body, BEHIND)


@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"k": 3}',
        '{"k": 3}'.encode("utf-16"),
        b'{"k": 3, "k": 4}',
        b'{"k": 3} ',
        b'{"k": 3}}',
        b'{"k": 1e1}',
        b'{"user_id": "\\u0000"}',
        b'{"user_id": "a\\nb"}',
        b'{"user_id": "a\nb"}',
        b'{"filter": {"field": "release_year", "operator": "at_least", "value": 1e400}}',
        b'{"filter": {"field": "release_year", "operator": "at_least", "value": NaN}}',
        b'{"filter": {"field": "release_year", "operator": "at_least", "value": ' + b"9" * 5000 + b"}}",
        b'{"filter": ' + b'{"not": ' * 2000 + b"3" + b"}" * 2001,
    ],
)
def test_whatever_json_it_is_written_in_it_is_answered_alike(client: Any, body: bytes) -> None:
    assert answered(client, body, "application/json") == answered(client, body, BEHIND)
