"""Answers as JSON, and every error as the same three fields: {error, message, next_step}."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from contracts.errors import SlateworkError, UnknownId, WrongInput

LOG = logging.getLogger(__name__)
SHOWN_PROBLEMS = 5  # more would hide the first, and the first is what a caller mends
SHOWN_INPUT = 80
SEE_SCHEMA = "Every field, its bounds and examples are in /openapi.json."


def json_bytes(content: Any) -> bytes:
    """JSON by orjson, which writes dataclasses and numpy numbers as they are."""
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


class JsonAnswer(Response):
    """An answer in JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The body: what is encoded already stays as it is."""
        return content if isinstance(content, bytes) else json_bytes(content)


def error_fields(error: SlateworkError) -> dict[str, str]:
    """An error as {error, message, next_step}."""
    return {"error": type(error).__name__, "message": error.problem, "next_step": error.next_step}


def error_answer(
    status: int, error: str, message: str, next_step: str, headers: Mapping[str, str] | None = None
) -> JsonAnswer:
    """An error answer; what cannot be written as UTF-8 (half a surrogate pair sent as a field's name) becomes `?`."""
    fields = {"error": error, "message": message, "next_step": next_step}
    writable = {name: text.encode(errors="replace").decode() for name, text in fields.items()}
    return JsonAnswer(writable, status, headers)


def add_error_answers(app: FastAPI) -> None:
    """Answer every error of this application as JSON: wrong input as 4xx, a missing release as 503."""
    app.exception_handler(RequestValidationError)(_wrong_input)
    app.exception_handler(HTTPException)(http_error)
    app.exception_handler(SlateworkError)(slatework_error)
    app.exception_handler(Exception)(_unexpected)


async def _wrong_input(request: Request, error: RequestValidationError) -> Response:
    problems = error.errors()
    if problems[0]["type"] == "json_invalid":
        message = f"The body is no valid JSON: {problems[0]['ctx']['error']} at character {problems[0]['loc'][-1]}."
        return error_answer(400, "MalformedJson", message, f"Send one JSON object. {SEE_SCHEMA}")
    if isinstance(error.body, bytes):
        content_type = request.headers.get("content-type", "none")
        message = f"The body came as content type {content_type!r}; expected application/json."
        return error_answer(415, "WrongContentType", message, "Send the header `Content-Type: application/json`.")
    return error_answer(422, "WrongInput", " ".join(_describe(problems)), SEE_SCHEMA)


def _describe(problems: Sequence[Any]) -> list[str]:
    sentences = [_sentence(problem) for problem in problems[:SHOWN_PROBLEMS]]
    hidden = len(problems) - SHOWN_PROBLEMS
    return [*sentences, f"And {hidden} more."] if hidden > 0 else sentences


def _sentence(problem: Any) -> str:
    where = ".".join(str(part)[:SHOWN_INPUT] for part in problem["loc"] if part not in {"body", "event", "batch"})
    name = f"`{where}`" if where else "The body"
    match problem["type"]:
        case "extra_forbidden":
            return f"{name} is unknown here."
        case "missing":
            return f"{name} is missing." if where else "The body is missing."
        case "value_error":
            return f"{name}: {problem['ctx']['error']}."
        case _:
            return f"{name} is {repr(problem['input'])[:SHOWN_INPUT]}: {problem['msg']}."


async def http_error(request: Request, error: HTTPException) -> Response:
    """The answer where the request is none that can be answered."""
    route = f"{request.method} {request.url.path[:SHOWN_INPUT]}"
    match error.status_code:
        case 400:
            name, next_step = "MalformedJson", f"Send one JSON object. {SEE_SCHEMA}"
            message = "The body is no readable JSON: it is not UTF-8, nested too deeply, or a number in it is too long."
        case 404:
            name, message, next_step = "NoSuchPath", f"There is no {route}.", "The paths are in /openapi.json."
        case 405:
            allowed = (error.headers or {}).get("Allow", "another method")
            name, message, next_step = "WrongMethod", f"{route} is not answered.", f"Use {allowed}."
        case 408:
            name, message, next_step = "BodyTooSlow", error.detail, "Send the body at once, on a new connection."
        case 413:
            name, message, next_step = "BodyTooLarge", error.detail, "Send less at once: split the batch."
        case _:
            name, message, next_step = "BadRequest", f"{route}: {error.detail}.", SEE_SCHEMA
    return error_answer(error.status_code, name, message, next_step, error.headers)


async def slatework_error(_request: Request, error: SlateworkError) -> Response:
    """The answer to what names something unknown (422), or cannot be answered now (503)."""
    status = 422 if isinstance(error, UnknownId | WrongInput) else 503
    if status == 503:
        LOG.error("%s: %s", type(error).__name__, error)
    return JsonAnswer(error_fields(error), status)


async def _unexpected(request: Request, error: Exception) -> Response:
    LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
    message = f"{type(error).__name__} while answering {request.method} {request.url.path}."
    return error_answer(500, "Unexpected", message, "This is a defect; the server's log has the traceback.")
