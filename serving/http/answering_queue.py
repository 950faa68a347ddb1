"""Where requests wait for the thread that answers them: bounded, and left by whoever is not there any more.

Whenever the thread becomes free it takes the one who has waited longest, and with them those who wait for the same
release and generation: many together are answered in a third of the time that they take one by one. Nobody waits for
company: what comes while the thread is free is answered at once, alone.

Past what the machine carries, a queue without a bound makes every answer late, until all of them are computed for
clients that have gone. What is shed then, and when, says `serving.http.load`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

from serving.http.load import Load, ServiceLevel

COME_AGAIN_S = 1

Served = TypeVar("Served")
Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class ClientGone(Exception):
    """Who asked has hung up."""


@dataclass(eq=False, slots=True)
class _Waiting(Generic[Served, Asked, Answer]):
    """One who waits. served: what they are answered with, one object for all who may be answered together.

    since: when their request was read, by `time.perf_counter`.
    """

    since: float
    is_gone: Callable[[], bool]
    served: Served
    asked: Asked
    answer: asyncio.Future[Answer]


class AnsweringQueue(Generic[Served, Asked, Answer]):
    """Answers with one thread, some at once.

    More threads would share the interpreter's lock and make smaller blocks: at 120 requests/s p99 of one worker was
    33 ms with one thread and 400 with two.
    work: what is asked, answered with what is served, in the order asked. Where it raises for several,
    each of them is answered alone: what one raises is nobody else's. The level says how much of
    it is left out.
    Used within one event loop.
    """

    def __init__(self, load: Load, work: Callable[[ServiceLevel, Served, Sequence[Asked]], Sequence[Answer]]) -> None:
        self.load = load
        self._work = work
        self._coming: SimpleQueue[_Waiting[Served, Asked, Answer] | None] = SimpleQueue()
        self._waiting: deque[_Waiting[Served, Asked, Answer]] = deque()  # the thread's own
        self._n_under_way, self._began = 0, 0.0
        self._thread: Thread | None = None

    @property
    def n_waiting(self) -> int:
        """How many wait for a turn now."""
        return self._coming.qsize() + len(self._waiting)

    def level(self, waited_ms: float = 0.0) -> ServiceLevel:
        """What whoever comes now can have. waited_ms: what has gone by since the request was read."""
        left_ms = self.load.left_ms(self._n_under_way, 1000 * (time.perf_counter() - self._began))
        return self.load.level(self.n_waiting, left_ms, waited_ms)

    async def answer(self, is_gone: Callable[[], bool], served: Served, asked: Asked, waited_ms: float = 0.0) -> Answer:
        """What the work makes of it, in its turn.

        is_gone: whether the client is, asked from any thread. waited_ms: what has gone by since the request was read.

        Raises ClientGone when the client had gone before its turn came or before the answer was there, and what the
        work raises; a thread that works is not interrupted.
        """
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if self._thread is None:
            self._thread = Thread(target=self._answer_on, name="answering", daemon=True)
            self._thread.start()
        self._coming.put(_Waiting(time.perf_counter() - waited_ms / 1000, is_gone, served, asked, future))
        answer = await future
        if is_gone():
            raise ClientGone
        return answer

    def close(self) -> None:
        """Answer whoever waits, and end the thread."""
        if self._thread is not None:
            self._coming.put(None)
            self._thread.join()
            self._thread = None

    def _answer_on(self) -> None:
        """Until the queue is closed."""
        is_open = True
        while is_open or self._waiting:
            is_open = self._receive() and is_open
            if self._waiting:
                level = self.load.level(self.n_waiting - 1)  # that of the last who came
                self._answer(level, self._take())

    def _receive(self) -> bool:
        """Take in whoever has come, at least one where nobody waits; False once the queue is closed."""
        if not self._waiting:
            first = self._coming.get()
            if first is None:
                return False
            self._waiting.append(first)
        for _ in range(self._coming.qsize()):
            further = self._coming.get()
            if further is None:
                return False
            self._waiting.append(further)
        return True

    def _take(self) -> list[_Waiting[Served, Asked, Answer]]:
        """The one who has waited longest, and who can be answered together with them."""
        first = self._waiting.popleft()
        alike = [one for one in self._waiting if one.served is first.served][: self.load.most_together() - 1]
        for one in alike:
            self._waiting.remove(one)
        return [first, *alike]

    def _answer(self, level: ServiceLevel, together: Sequence[_Waiting[Served, Asked, Answer]]) -> None:
        gone = [one.is_gone() for one in together]
        there = [one for one, is_gone in zip(together, gone, strict=True) if not is_gone]
        _settle([one for one, is_gone in zip(together, gone, strict=True) if is_gone], [ClientGone()] * sum(gone))
        now = time.perf_counter()
        late = [one for one in there if self.load.is_too_late(1000 * (now - one.since), len(there))]
        in_time = [one for one in there if one not in late]
        if late:
            _settle(late, self._outcomes(ServiceLevel.POPULAR, late))
        if in_time:
            self._began, self._n_under_way = now, len(in_time)
            outcomes = self._outcomes(level, in_time)
            self.load.note_work(len(in_time), 1000 * (time.perf_counter() - now))
            self._n_under_way = 0
            _settle(in_time, outcomes)

    def _outcomes(
        self, level: ServiceLevel, together: Sequence[_Waiting[Served, Asked, Answer]]
    ) -> Sequence[Answer | BaseException]:
        return _outcomes(partial(self._work, level, together[0].served), [one.asked for one in together])


def _outcomes(
    work: Callable[[Sequence[Asked]], Sequence[Answer]], asked: Sequence[Asked]
) -> Sequence[Answer | BaseException]:
    """For each what the work makes of it, or raises."""
    try:
        return work(asked)
    except BaseException as error:  # noqa: BLE001 - it is raised where its answer is waited for, whatever it is
        if len(asked) == 1:
            # No future takes a StopIteration.
            return [RuntimeError(repr(error)) if isinstance(error, StopIteration) else error]
        return [outcome for one in asked for outcome in _outcomes(work, [one])]


def _settle(waiting: Sequence[_Waiting[Served, Asked, Answer]], outcomes: Sequence[Answer | BaseException]) -> None:
    """Let those who wait have their answers, in their loop."""
    if waiting:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            waiting[0].answer.get_loop().call_soon_threadsafe(_settle_here, waiting, outcomes)


def _settle_here(
    waiting: Sequence[_Waiting[Served, Asked, Answer]], outcomes: Sequence[Answer | BaseException]
) -> None:
    for one, outcome in zip(waiting, outcomes, strict=True):
        if one.answer.done():  # whoever waited was cancelled
            continue
        if isinstance(outcome, BaseException):
            one.answer.set_exception(outcome)
        else:
            one.answer.set_result(outcome)
