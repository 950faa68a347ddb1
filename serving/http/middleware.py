"""Around every request: limits on the body, and a stopwatch."""

from __future__ import annotations

import asyncio
import time

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.http.arrivals import CAME
from serving.metrics import Metrics

CLOSING = {"Connection": "close"}


class BodyLimit:
    """Stops reading a body past `max_bytes` with 413, whatever its Content-Length claims, and past `within_s` with 408.

    The connection is closed then: what else comes on it belongs to that body.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, within_s: float) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._within_s = within_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting what is read of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        n_bytes, is_whole = 0, False
        deadline = asyncio.get_running_loop().time() + self._within_s

        async def counted() -> Message:
            nonlocal n_bytes, is_whole
            if is_whole:  # whoever asks now wants to know whether the client is still there
                return await receive()
            message = await receive() if CAME in scope else await self._in_time(receive, deadline)
            n_bytes += len(message.get("body", b""))
            is_whole = not message.get("more_body", False)
            if n_bytes > self._max_bytes:
                raise HTTPException(413, f"The body is larger than {self._max_bytes} bytes.", CLOSING)
            return message

        await self._app(scope, counted, send)

    async def _in_time(self, receive: Receive, deadline: float) -> Message:
        try:
            async with asyncio.timeout_at(deadline):
                return await receive()
        except TimeoutError as error:
            too_slow = f"The body did not come within {self._within_s:g} s."
            raise HTTPException(408, too_slow, CLOSING) from error


class Stopwatch:
    """Times each answer to its first byte, from when all of the request was there, by route and status."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and time it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()

        async def timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                # Paths that no route matched share one label: a scanner must not fill the registry.
                route = getattr(scope.get("route"), "path", "none")
                seconds = time.perf_counter() - scope.get(CAME, started)
                self._metrics.request_answered(route, message["status"], seconds)
            await send(message)

        await self._app(scope, receive, timed)
