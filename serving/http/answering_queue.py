"""Where requests wait for a thread that answers them: bounded, and left by whoever is not there any more.

A thread that becomes free takes the one who has waited longest, and with them those who wait for the same release and
generation: many together are answered in a third of the time that they take one by one. Nobody waits for company: what
comes while a thread is free is answered at once, alone.

Past what the machine carries, a queue without a bound makes every answer late, until all of them are computed for
clients that have gone. What is shed then, and when, says `serving.http.load`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar, cast

import anyio
import anyio.to_thread
from starlette.requests import Request

from serving.http.load import Load, ServiceLevel

# Threads of a worker: more of them share the interpreter's lock and make smaller blocks. Of one worker, at
# 120 requests/s, p99 was 33 ms with one thread and 400 with two.
N_ANSWERING = 1
MOST_TOGETHER = 16  # 32 cost hardly less each, and the first of them wait twice as long
COME_AGAIN_S = 1

Served = TypeVar("Served")
Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class ClientGone(Exception):
    """Who asked has hung up."""


@dataclass(eq=False)
class _Waiting(Generic[Served, Asked, Answer]):
    """One who waits. served: what they are answered with, one object for all who may be answered together.

    at_once: whether a thread was free when they came.
    """

    at_once: bool
    request: Request
    served: Served
    asked: Asked
    answer: asyncio.Future[Answer]


class AnsweringQueue(Generic[Served, Asked, Answer]):
    """Answers with at most N_ANSWERING threads, and in each at most MOST_TOGETHER at once.

    work: what is asked, answered with what is served, in the order asked; in a thread. Where it raises for several,
    each of them is answered alone: what one raises is nobody else's. The level says how much of
    it is left out.
    Used within one event loop.
    """

    def __init__(self, load: Load, work: Callable[[ServiceLevel, Served, Sequence[Asked]], Sequence[Answer]]) -> None:
        self.load = load
        self._work = work
        self._waiting: deque[_Waiting[Served, Asked, Answer]] = deque()
        self._answering: set[asyncio.Task[None]] = set()
        self._threads = anyio.CapacityLimiter(N_ANSWERING)

    @property
    def n_waiting(self) -> int:
        """How many wait for a turn now."""
        return len(self._waiting)

    async def answer(self, request: Request, served: Served, asked: Asked) -> Answer:
        """What the work makes of it, in its turn.

        Raises ClientGone when the client had gone before its turn came or before the answer was there, and what the
        work raises; a thread that works is not interrupted.
        """
        loop = asyncio.get_running_loop()
        at_once = len(self._answering) < N_ANSWERING
        waiting = _Waiting[Served, Asked, Answer](at_once, request, served, asked, loop.create_future())
        self._waiting.append(waiting)
        if at_once:
            task = loop.create_task(self._answer_waiting())
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
        answer = await waiting.answer
        await _check_there(request)
        return answer

    async def _answer_waiting(self) -> None:
        """Until nobody waits."""
        while self._waiting:
            level = self.load.level(self.n_waiting - 1)  # that of the last who came
            together = self._take()
            try:
                there = [one for one in together if await _is_there(one)]
                if there:
                    work = partial(self._work, level, there[0].served)
                    began, asked = time.perf_counter(), [one.asked for one in there]
                    outcomes = await anyio.to_thread.run_sync(_outcomes, work, asked, limiter=self._threads)
                    self.load.note_work(len(there), 1000 * (time.perf_counter() - began))
                    for one, outcome in zip(there, outcomes, strict=True):
                        _settle(one.answer, outcome)
            except BaseException as error:  # whoever waits must hear of it, whatever it is
                for one in together:
                    _settle(one.answer, error)
                raise
        # At once, and not when the loop comes to it: whoever comes meanwhile must find that nobody answers.
        self._answering.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    def _take(self) -> list[_Waiting[Served, Asked, Answer]]:
        """The one who has waited longest, and who can be answered together with them."""
        first = self._waiting.popleft()
        alike = [one for one in self._waiting if one.served is first.served][: MOST_TOGETHER - 1]
        for one in alike:
            self._waiting.remove(one)
        return [first, *alike]


def _outcomes(
    work: Callable[[Sequence[Asked]], Sequence[Answer]], asked: Sequence[Asked]
) -> Sequence[Answer | Exception]:
    """For each what the work makes of it, or raises."""
    try:
        return work(asked)
    except Exception as error:  # noqa: BLE001 - it is raised where its answer is waited for
        if len(asked) == 1:
            return [error]
        return [outcome for one in asked for outcome in _outcomes(work, [one])]


def _settle(future: asyncio.Future[Answer], outcome: Answer | BaseException) -> None:
    if future.done():  # whoever waited was cancelled
        return
    if isinstance(outcome, BaseException):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


async def _is_there(waiting: _Waiting[Served, Asked, Answer]) -> bool:
    """Whether the client is, of whom one that did not wait was just heard; if not, who waits hears it."""
    if waiting.at_once or not await waiting.request.is_disconnected():
        return True
    _settle(waiting.answer, ClientGone())
    return False


async def _check_there(request: Request) -> None:
    if await request.is_disconnected():
        raise ClientGone
