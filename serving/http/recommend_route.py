"""`POST /v1/recommend` before the application's own layers, which cost more than all the rest of a popular answer.

It takes the questions that are as they should be. Whatever is unusual goes on to the application: another content type,
a header that asks for Staging, a body that is no question. Its route calls the same functions, and says what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import Request
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contracts.errors import SlateworkError
from serving.http.answers import http_error, slatework_error
from serving.http.api import STAGE_NAME, Api
from serving.http.arrivals import Arrival
from serving.http.load import ServiceLevel
from serving.wire import Question

RECOMMEND = "/v1/recommend"
JSON = b"application/json"


class RecommendRoute:
    """Answers what it can, and hands the rest to `app`."""

    path = RECOMMEND  # by which metrics name the route

    def __init__(self, app: ASGIApp, api: Api) -> None:
        self._app = app
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on."""
        if scope["type"] != "http" or scope["path"] != RECOMMEND or not _is_usual(scope):
            await self._app(scope, receive, send)
            return
        scope["route"] = self
        try:
            body = await _whole_body(receive)
        except ClientDisconnect:
            return
        except HTTPException as error:
            answer: Response | None = await http_error(Request(scope), error)
        else:
            answer = await self._answer(scope, body)
        if answer is None:
            await self._app(scope, _again(body, receive), send)
        else:
            await send({"type": "http.response.start", "status": answer.status_code, "headers": answer.raw_headers})
            await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, scope: Scope, body: bytes) -> Response | None:
        """None where the body is no question."""
        arrival = Arrival.of(scope)
        if self._api.level(arrival) is ServiceLevel.NOTHING:
            return self._api.refused()
        try:
            question = Question.model_validate_json(body)
        except ValidationError:
            return None
        try:
            return await self._api.answer(question, arrival)
        except SlateworkError as error:
            return await slatework_error(Request(scope), error)


def _is_usual(scope: Scope) -> bool:
    return scope["method"] == "POST" and _is_json(scope["headers"])


def _is_json(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether JSON was sent, by somebody who does not ask for Staging."""
    is_json = False
    for name, value in headers:
        if name == STAGE_NAME:
            return False
        if name == b"content-type":
            is_json = value == JSON or value.partition(b";")[0].strip().lower() == JSON
    return is_json


async def _whole_body(receive: Receive) -> bytes:
    """Raises HTTPException where it is too large or too slow, ClientDisconnect where it does not come."""
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """The body once more, and then what else comes."""
    is_read = False

    async def receive_again() -> Message:
        nonlocal is_read
        if is_read:
            return await receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
