"""Questions at a steady rate over connections that stay open, from a process of its own; one line an answer.

    python -m bench.steady_load ADDRESSES RATE QUESTIONS

ADDRESSES: host:port of each server, with commas; RATE: questions a second over all of them; QUESTIONS: a file of JSON
bodies, one a line, asked in turn. Until its input ends. A line: {"question", "due", "done", "status", "answer"}, times
by the monotonic clock, status 0 where the connection failed. A question's time counts from when it was due, also where
the answer before it on its connection came late.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

# Of one server: more than ever wait, and each asks so often that the server does not close it as idle (after 5 s).
FEWEST_CONNECTIONS, MOST_CONNECTIONS = 12, 96
ANSWER_WITHIN_S = 30.0


@dataclass
class HttpConnection:
    """One connection to a server, made again after a failure."""

    host: str
    port: int
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None

    async def ask(self, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        if self.reader is None or self.writer is None:
            self.reader, self.writer = await asyncio.open_connection(self.host, self.port)
        head = (
            f"POST /v1/recommend HTTP/1.1\r\nhost: {self.host}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        self.writer.write(head.encode() + body)
        status, length = 0, 0
        while (line := await self.reader.readline()) not in {b"\r\n", b""}:
            name, _, value = line.partition(b":")
            if line.startswith(b"HTTP/"):
                status = int(line.split()[1])
            elif name.lower() == b"content-length":
                length = int(value)
        if not status:
            raise ConnectionResetError
        return status, await self.reader.readexactly(length)

    def drop(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None


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
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(stop.set)), daemon=True).start()
    numbers, started = count(), time.monotonic() + 0.1

    async def ask_on(connection: HttpConnection, place: int) -> None:
        for turn in count():
            number = next(numbers)
            due = started + (turn * len(connections) + place) / rate
            await asyncio.sleep(max(due - time.monotonic(), 0))
            if stop.is_set():
                return
            question = number % len(questions)
            try:
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    status, answer = await connection.ask(questions[question])
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                connection.drop()
                status, answer = 0, b"null"
            record = {"question": question, "due": due, "done": time.monotonic(), "status": status}
            print(json.dumps({**record, "answer": json.loads(answer)}), flush=True)

    async with asyncio.TaskGroup() as group:
        for place, connection in enumerate(connections):
            group.create_task(ask_on(connection, place))


if __name__ == "__main__":
    main()
