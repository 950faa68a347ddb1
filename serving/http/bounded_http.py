"""HTTP on a connection, with bounds that come before any request is there: on its headers, and on how long they take.

The parser takes headers of any length, and a connection that says nothing would stay open for ever.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.http.arrivals import CAME, IS_GONE
from serving.wire import HEAD_WITHIN_S, MAX_HEAD_BYTES

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%s"
)
_PROBLEM = (
    b'{"error":"HeadersTooLarge","message":"Request line and headers are larger than %d bytes.",'
    b'"next_step":"Send fewer or shorter headers."}' % MAX_HEAD_BYTES
)


class WholeAnswers:
    """A transport that writes the head of an answer together with what follows it: one call of the system, not two.

    Whatever it is not told of goes to the transport itself.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""

    def write(self, data: bytes) -> None:
        """Write it, or keep it for the next call where it is the head of an answer."""
        if self._head:
            self._transport.write(self._head + data)
            self._head = b""
        elif data.endswith(b"\r\n\r\n") and data.startswith(b"HTTP/") and not data.startswith(b"HTTP/1.1 1"):
            self._head = data
        else:
            self._transport.write(data)

    def flush(self) -> None:
        """Write a head that nothing followed."""
        if self._head:
            self._transport.write(self._head)
            self._head = b""

    def close(self) -> None:
        """Write what is kept, and close."""
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether it is closed, from here or by the client."""
        return self._transport.is_closing()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's protocol, which hangs up on headers that are too long (431) or do not come within their time.

    note_connections: called whenever a connection came or went.
    """

    def __init__(self, *arguments: Any, note_connections: Callable[[], None] = lambda: None, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._note_connections = note_connections
        self._head_bytes = 0
        self._is_in_head = True
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._answers = WholeAnswers(transport)
        super().connection_made(cast("asyncio.Transport", self._answers))
        self._note_connections()
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        if self._deadline is None and (self._is_in_head or self.cycle.response_complete):
            self._wait_for_head()  # of the next request on a connection that was kept
        if self._is_in_head:
            self._head_bytes += len(data)
        for start in range(0, len(data), MAX_HEAD_BYTES):
            # Fed bit by bit, so that a body behind short headers is not taken for more of them.
            super().data_received(data[start : start + MAX_HEAD_BYTES])
            if self._is_in_head and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.transport.write(_TOO_LARGE % (len(_PROBLEM), _PROBLEM))
                self.transport.close()
            if self.transport.is_closing():
                return

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        self._is_in_head, self._head_bytes = False, 0
        cast("dict[str, Any]", self.scope)[IS_GONE] = self.transport.is_closing
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_in_head, self._head_bytes = True, 0
        cast("dict[str, Any]", self.scope)[CAME] = time.perf_counter()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._answers.flush()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)
        self._note_connections()

    def _wait_for_head(self) -> None:
        self._deadline = self.loop.call_later(HEAD_WITHIN_S, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
