"""Where requests wait for a thread that answers them: bounded, and left by whoever is not there any more.

Past what the machine carries, a queue without a bound makes every answer late, until all of them are computed for
clients that have gone. Here the last who come are refused at once, and hear when to come again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread
from starlette.requests import Request

N_ANSWERING = 4
COME_AGAIN_S = 1

Answer = TypeVar("Answer")


class QueueFull(Exception):
    """So many wait that this request would be late."""


class ClientGone(Exception):
    """Who asked has hung up."""


class AnsweringQueue:
    """Runs the work of at most N_ANSWERING requests at once, in threads; at most `max_waiting` more wait for a turn.

    Made and used within one event loop.
    """

    def __init__(self, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._n_waiting = 0
        self._turns = anyio.CapacityLimiter(N_ANSWERING)
        self._threads = anyio.CapacityLimiter(N_ANSWERING)

    @property
    def n_waiting(self) -> int:
        """How many wait for a turn now."""
        return self._n_waiting

    async def run(self, request: Request, work: Callable[[], Answer]) -> Answer:
        """What the work returns, in its turn.

        Raises QueueFull at once, ClientGone when the client had gone before its turn came or before the answer was
        there; a thread that works is not interrupted.
        """
        if self._n_waiting >= self._max_waiting and not self._turns.available_tokens:
            raise QueueFull
        self._n_waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._n_waiting -= 1
        try:
            await _check_there(request)
            answer = await anyio.to_thread.run_sync(work, limiter=self._threads)
        finally:
            self._turns.release()
        await _check_there(request)
        return answer


async def _check_there(request: Request) -> None:
    if await request.is_disconnected():
        raise ClientGone
