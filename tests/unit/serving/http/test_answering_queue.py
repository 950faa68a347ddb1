"""Who waits is answered together with who waits for the same; nobody waits for company, and no fault is shared."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from serving.http.answering_queue import MOST_TOGETHER, N_ANSWERING, AnsweringQueue, ClientGone
from serving.http.load import Load, ServiceLevel

PRODUCTION, CANARY = object(), object()


class Client:
    """As much of a request as the queue looks at."""

    def __init__(self, *, gone: bool = False) -> None:
        self.gone = gone

    async def is_disconnected(self) -> bool:
        return self.gone


class Work:
    """Answers with what was asked; the first N_ANSWERING blocks wait until `may_answer`, as on a busy machine."""

    def __init__(self, *, busy: bool = True) -> None:
        self.may_answer = threading.Event()
        self.under_way = threading.Semaphore(0)
        self.blocks: list[tuple[Any, list[str]]] = []
        self.levels: list[ServiceLevel] = []
        if not busy:
            self.may_answer.set()

    def __call__(self, level: ServiceLevel, served: Any, asked: Sequence[str]) -> list[str]:
        self.levels.append(level)
        self.blocks.append((served, list(asked)))
        self.under_way.release()
        self.may_answer.wait()
        if "bad" in asked:
            raise ValueError("this one is bad")
        return [f"answer to {one}" for one in asked]


def run(scene: Callable[[AnsweringQueue[Any, str, str]], Awaitable[None]], work: Work, work_ms: float = 0.0) -> None:
    """Play the scene on a server whose answers took work_ms each so far."""

    async def within_a_loop() -> None:
        await scene(AnsweringQueue(Load(1000, 64, N_ANSWERING, work_ms), work))

    asyncio.run(within_a_loop())


async def occupy(queue: AnsweringQueue[Any, str, str], work: Work) -> list[asyncio.Task[str]]:
    """Every thread works on one request."""
    tasks = []
    for number in range(N_ANSWERING):
        tasks.append(asyncio.create_task(queue.answer(Client(), PRODUCTION, f"first {number}")))
        await asyncio.to_thread(work.under_way.acquire)
    return tasks


async def ask(
    queue: AnsweringQueue[Any, str, str], asked: str, served: Any = PRODUCTION, **client: Any
) -> asyncio.Task:
    task = asyncio.create_task(queue.answer(Client(**client), served, asked))
    await asyncio.sleep(0)  # it is in the queue now
    return task


def test_an_idle_server_answers_at_once_and_alone():
    work = Work(busy=False)

    async def scene(queue: AnsweringQueue[Any, str, str]) -> None:
        for name in ("a", "b"):
            assert await queue.answer(Client(), PRODUCTION, name) == f"answer to {name}"

    run(scene, work)
    assert work.blocks == [(PRODUCTION, ["a"]), (PRODUCTION, ["b"])]


def test_who_waits_is_answered_together_and_only_with_who_waits_for_the_same():
    work = Work()

    async def scene(queue: AnsweringQueue[Any, str, str]) -> None:
        first = await occupy(queue, work)
        waiting = [
            await ask(queue, name, served)
            for name, served in (("a", PRODUCTION), ("b", CANARY), ("c", PRODUCTION), ("d", CANARY))
        ]
        work.may_answer.set()
        assert await asyncio.gather(*waiting) == [f"answer to {name}" for name in "abcd"]
        await asyncio.gather(*first)

    run(scene, work)
    assert sorted(work.blocks[N_ANSWERING:], key=lambda block: block[1]) == [
        (PRODUCTION, ["a", "c"]),
        (CANARY, ["b", "d"]),
    ]


def test_so_many_are_answered_together_and_no_more():
    work = Work()

    async def scene(queue: AnsweringQueue[Any, str, str]) -> None:
        first = await occupy(queue, work)
        waiting = [await ask(queue, str(number)) for number in range(MOST_TOGETHER + 1)]
        work.may_answer.set()
        await asyncio.gather(*first, *waiting)

    run(scene, work)
    assert sorted(len(asked) for _, asked in work.blocks[N_ANSWERING:]) == [1, MOST_TOGETHER]


def test_what_one_of_them_raises_is_nobody_elses():
    work = Work()

    async def scene(queue: AnsweringQueue[Any, str, str]) -> None:
        first = await occupy(queue, work)
        waiting = [await ask(queue, name) for name in ("a", "bad", "c")]
        work.may_answer.set()
        outcomes = await asyncio.gather(*first, *waiting, return_exceptions=True)
        assert [str(outcome) for outcome in outcomes[N_ANSWERING:]] == ["answer to a", "this one is bad", "answer to c"]

    run(scene, work)


def test_nothing_is_worked_out_for_whoever_has_hung_up():
    work = Work()

    async def scene(queue: AnsweringQueue[Any, str, str]) -> None:
        first = await occupy(queue, work)
        gone, there = await ask(queue, "gone", gone=True), await ask(queue, "there")
        work.may_answer.set()
        assert await there == "answer to there"
        with pytest.raises(ClientGone):
            await gone
        await asyncio.gather(*first)

    run(scene, work)
    assert [asked for _, asked in work.blocks[N_ANSWERING:]] == [["there"]]


def test_where_many_wait_less_is_done_for_all_who_are_taken_together():
    work = Work()

    async def scene(queue: AnsweringQueue[Any, str, str]) -> None:
        first = await occupy(queue, work)
        waiting = [await ask(queue, str(number)) for number in range(3)]
        assert queue.n_waiting == 3
        work.may_answer.set()
        await asyncio.gather(*first, *waiting)
        assert queue.n_waiting == 0
        assert await queue.answer(Client(), PRODUCTION, "later") == "answer to later"

    run(scene, work, work_ms=40.0 * N_ANSWERING)  # behind two: an expected wait of 80 ms
    assert work.levels == [ServiceLevel.EVERYTHING] * N_ANSWERING + [
        ServiceLevel.FEWER_CANDIDATES,
        ServiceLevel.EVERYTHING,
    ]


def test_whoever_stops_waiting_holds_nobody_up():
    work = Work()

    async def scene(queue: AnsweringQueue[Any, str, str]) -> None:
        first = await occupy(queue, work)
        cancelled, other = await ask(queue, "cancelled"), await ask(queue, "other")
        cancelled.cancel()
        work.may_answer.set()
        assert await other == "answer to other"
        await asyncio.gather(*first)

    run(scene, work)
