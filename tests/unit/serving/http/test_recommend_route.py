"""What is answered before the application's layers, and what goes on to them, body and all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import orjson
import pytest
from starlette.exceptions import HTTPException
from starlette.responses import Response

from contracts.errors import UnknownId
from serving.http.load import ServiceLevel
from serving.http.recommend_route import RecommendRoute
from serving.wire import Question

JSON = (b"content-type", b"application/json")
QUESTION = b'{"user_id": "u500", "k": 3}'


class FakeApi:
    """Answers with what it was asked. level: what a request can have now."""

    def __init__(self, level: ServiceLevel = ServiceLevel.EVERYTHING) -> None:
        self._level = level

    def level(self, _arrival: Any) -> ServiceLevel:
        return self._level

    def refused(self) -> Response:
        return Response(b"too many", 429)

    async def answer(self, question: Question, _arrival: Any) -> Response:
        if question.item_id == "i9":
            raise UnknownId("Release r knows no item 'i9'.", "Send others.")
        return Response(f"{question.user_id} wants {question.k}")


class Application:
    """What lies behind the route: notes the bodies that it is handed."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        body, is_whole = b"", False
        while not is_whole:
            message = await receive()
            body, is_whole = body + message["body"], not message["more_body"]
        self.bodies.append(body)
        await Response("from the application")(_scope, receive, send)


def sent(
    *parts: bytes | HTTPException | None,
    headers: Iterable[tuple[bytes, bytes]] = (JSON,),
    method: str = "POST",
    path: str = "/v1/recommend",
    level: ServiceLevel = ServiceLevel.EVERYTHING,
) -> tuple[int | None, bytes, list[bytes]]:
    """Status and body of the answer to a request in these parts, and what the application was handed of it.

    None: the client hangs up; an exception: the body is too large or too slow.
    """
    application, answered = Application(), []
    coming = iter(parts)

    async def receive() -> dict[str, Any]:
        part = next(coming)
        if isinstance(part, HTTPException):
            raise part
        if part is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part, "more_body": part is not parts[-1]}

    async def send(message: Any) -> None:
        answered.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": list(headers)}
    route = RecommendRoute(application, FakeApi(level))  # type: ignore[arg-type]
    asyncio.run(route(scope, receive, send))
    if not answered:
        return None, b"", application.bodies
    start, body = answered
    assert dict(start["headers"])[b"content-length"] == b"%d" % len(body["body"])
    return start["status"], body["body"], application.bodies


@pytest.mark.parametrize("parts", [(QUESTION,), (QUESTION[:9], QUESTION[9:]), (b"", QUESTION)])
@pytest.mark.parametrize("content_type", [b"application/json", b"Application/JSON; charset=utf-8"])
def test_a_question_is_answered_without_the_application(parts: tuple[bytes, ...], content_type: bytes) -> None:
    headers = [(b"host", b"x"), (b"content-type", content_type)]
    assert sent(*parts, headers=headers) == (200, b"u500 wants 3", [])


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"[]", b'{"k": 0}', b'{"k": 10.0}', b'{"usr": 1}', b'{"user_id": "\\ud800"}', b"null"]
)
def test_what_is_no_question_goes_on_as_it_came(body: bytes) -> None:
    assert sent(body) == (200, b"from the application", [body])


@pytest.mark.parametrize(
    "unusual",
    [
        {"headers": [(b"content-type", b"application/x-www-form-urlencoded")]},
        {"headers": [(b"content-type", b"application/problem+json")]},
        {"headers": []},
        {"headers": [JSON, (b"x-slate-stage", b"staging")]},
        {"headers": [(b"x-slate-stage", b"staging"), JSON]},
        {"method": "PUT"},
        {"path": "/v1/recommend/"},
    ],
)
def test_what_is_unusual_goes_on_as_it_came(unusual: dict[str, Any]) -> None:
    assert sent(QUESTION[:5], QUESTION[5:], **unusual) == (200, b"from the application", [QUESTION])


def test_what_the_release_does_not_know_is_named_as_everywhere() -> None:
    status, body, _ = sent(b'{"surface": "item", "item_id": "i9"}')
    assert (status, orjson.loads(body)["error"]) == (422, "UnknownId")


def test_a_request_that_is_too_late_is_refused_before_it_is_read() -> None:
    assert sent(b"{", level=ServiceLevel.NOTHING) == (429, b"too many", [])


def test_a_body_that_is_too_large_or_too_slow_is_refused_as_everywhere() -> None:
    status, body, bodies = sent(b"{", HTTPException(413, "The body is larger than 3 bytes."))
    assert (status, orjson.loads(body)["error"], bodies) == (413, "BodyTooLarge", [])


def test_nobody_is_answered_who_hangs_up_before_the_body_is_there() -> None:
    assert sent(b"{", None, b"}") == (None, b"", [])
