"""Questions at a steady rate over connections that stay open, from a process of its own; one line an answer.

    python -m bench.steady_load ADDRESSES RATE QUESTIONS

ADDRESSES: host:port of each server, with commas; RATE: questions a second over all of them; QUESTIONS: a file of JSON
bodies, one a line, asked in turn. Until its input ends; what was due by then is asked still. A line: {"question",
"due", "done", "status", "answer"}, times by the monotonic clock, status 0 where the connection failed. A question's
time counts from when it was due, also where the answer before it on its connection came late.

It shares the cores with the servers that it asks, so that it does little: an answer is written down as it came, and the
first few bytes of its head are all that is read of it.
"""

from __future__ import annotations

import asyncio
import math
import re
import sys
import threading
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path

# Of one server: more than ever wait, and each asks so often that the server does not close it as idle (after 5 s).
FEWEST_CONNECTIONS, MOST_CONNECTIONS = 12, 256
ANSWER_WITHIN_S = 30.0
IDLE_S = 4.0  # then a connection is made anew: after 5 s the server closes it, maybe just when it is asked
FLUSHED_EVERY = 16  # lines
HEAD_END = b"\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class HttpConnection(asyncio.Protocol):
    """One connection to a server, made again after a failure; one question at a time."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._answered = 0.0  # when, by the loop's clock
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    async def ask(self, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer; raises OSError or TimeoutError."""
        loop = asyncio.get_running_loop()
        if loop.time() - self._answered > IDLE_S:
            self.drop()
        if self._transport is None:
            self._transport, _ = await loop.create_connection(lambda: self, self.host, self.port)
        self._received, self._answer = b"", loop.create_future()
        head = (
            f"POST /v1/recommend HTTP/1.1\r\nhost: {self.host}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        self._transport.write(head.encode() + body)
        too_late = loop.call_later(ANSWER_WITHIN_S, self._fail, TimeoutError())
        try:
            return await self._answer
        finally:
            too_late.cancel()
            self._answered = loop.time()

    def drop(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(HEAD_END)
        if end < 0 or self._answer is None or self._answer.done():
            return
        length = LENGTH.search(self._received, 0, end)
        body = self._received[end + len(HEAD_END) :]
        if length is None:
            self._fail(ConnectionError("The answer does not say how long it is."))
        elif len(body) >= int(length[1]):
            self._answer.set_result((int(self._received[9:12]), body))  # behind `HTTP/1.1 `

    def connection_lost(self, _exc: Exception | None) -> None:
        self._transport = None
        self._fail(ConnectionResetError())

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


def main() -> None:
    """Ask until the input ends."""
    addresses, rate, file = sys.argv[1:]
    asyncio.run(ask_steadily(addresses.split(","), float(rate), Path(file).read_bytes().splitlines()))


async def ask_steadily(addresses: Sequence[str], rate: float, questions: Sequence[bytes]) -> None:
    """Ask the questions in turn, `rate` a second, and print what comes back."""
    connections = []
    for address in addresses:
        host, port = address.split(":")
        for _ in range(min(max(int(rate), FEWEST_CONNECTIONS), MOST_CONNECTIONS)):
            connections.append(HttpConnection(host, int(port)))
            await connections[-1].ask(questions[0])  # one after the other, so that every worker comes to take some
    ended = [math.inf]
    threading.Thread(target=lambda: (sys.stdin.read(), ended.insert(0, time.monotonic())), daemon=True).start()
    numbers, started, output = count(), time.monotonic() + 0.1, sys.stdout.buffer

    async def ask_on(connection: HttpConnection, place: int) -> None:
        for turn in count():
            number = next(numbers)
            due = started + (turn * len(connections) + place) / rate
            await asyncio.sleep(max(due - time.monotonic(), 0))
            if due > ended[0]:
                return
            question = number % len(questions)
            try:
                status, answer = await connection.ask(questions[question])
            except (OSError, TimeoutError):
                connection.drop()
                status, answer = 0, b"null"
            done = time.monotonic()
            fields = b'{"question":%d,"due":%r,"done":%r,"status":%d,"answer":%b}\n'
            output.write(fields % (question, due, done, status, answer if answer.startswith(b"{") else b"null"))
            if not number % FLUSHED_EVERY:
                output.flush()

    async with asyncio.TaskGroup() as group:
        for place, connection in enumerate(connections):
            group.create_task(ask_on(connection, place))
    output.flush()


if __name__ == "__main__":
    main()
