"""Who waits is answered together with who waits for the same; nobody waits for company, and no fault is shared."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from serving.http.answering_queue import AnsweringQueue, ClientGone
from serving.http.load import MOST_TOGETHER, Load, ServiceLevel

PRODUCTION, CANARY = object(), object()


def is_there() -> bool:
    return False


def is_gone() -> bool:
    return True


class Work:
    """Answers with what was asked; the first block waits until `may_answer`, as on a busy machine."""

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
        queue = AnsweringQueue(Load(200, 64, work_ms), work)
        await scene(queue)
        queue.close()

    asyncio.run(within_a_loop())


async def occupy(queue: AnsweringQueue[Any, str, str], work: Work) -> asyncio.Task[str]:
    """The thread works on one request."""
    task = asyncio.create_task(queue.answer(is_there, PRODUCTION, "first"))
    await asyncio.to_thread(work.under_way.acquire)
    return task


async def ask(
    queue: AnsweringQueue[Any, str, str], asked: str, served: Any = PRODUCTION, client: Callable[[], bool] = is_there
) -> asyncio.Task:
    task = asyncio.create_task(queue.answer(client, served, asked))
    await asyncio.sleep(0)  # it is in the queue now
    return task


def test_an_idle_server_answers_at_once_and_alone():
    work = Work(busy=False)

    async def scene(queue: AnsweringQueue[Any, str, str]) -> None:
        for name in ("a", "b"):
            assert await queue.answer(is_there, PRODUCTION, name) == f"answer to {name}"

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
        await first

    run(scene, work)
    assert sorted(work.blocks[1:], key=lambda block: block[1]) == [
        (PRODUCTION, ["a", "c"]),
        (CANARY, ["b", "d"]),
    ]


def test_so_many_are_answered_together_and_no_more():
    work = Work()

    async def scene(queue: AnsweringQueue[Any, str, str]) -> None:
        first = await occupy(queue, work)
        waiting = [await ask(queue, str(number)) for number in range(MOST_TOGETHER + 1)]
        work.may_answer.set()
        await asyncio.gather(first, *waiting)

    run(scene, work)
    assert sorted(len(asked) for _, asked in work.blocks[1:]) == [1, MOST_TOGETHER]


def test_what_one_of_them_raises_is_nobody_elses():
    work = Work()

    async def scene(queue: AnsweringQueue[Any, str, str]) -> None:
        first = await occupy(queue, work)
        waiting = [await ask(queue, name) for name in ("a", "bad", "c")]
        work.may_answer.set()
        outcomes = await asyncio.gather(first, *waiting, return_exceptions=True)
        assert [str(outcome) for outcome in outcomes[1:]] == ["answer to a", "this one is bad", "answer to c"]

    run(scene, work)


def test_nothing_is_worked_out_for_whoever_has_hung_up():
    work = Work()

    async def scene(queue: AnsweringQueue[Any, str, str]) -> None:
        first = await occupy(queue, work)
        gone, there = await ask(queue, "gone", client=is_gone), await ask(queue, "there")
        work.may_answer.set()
        assert await there == "answer to there"
        with pytest.raises(ClientGone):
            await gone
        await first

    run(scene, work)
    assert [asked for _, asked in work.blocks[1:]] == [["there"]]


def test_where_many_wait_less_is_done_for_all_who_are_taken_together():
    work = Work()

    async def scene(queue: AnsweringQueue[Any, str, str]) -> None:
        first = await occupy(queue, work)
        waiting = [await ask(queue, str(number)) for number in range(3)]
        assert queue.n_waiting == 3
        work.may_answer.set()
        await asyncio.gather(first, *waiting)
        assert queue.n_waiting == 0
        assert await queue.answer(is_there, PRODUCTION, "later") == "answer to later"

    run(scene, work, work_ms=40.0)  # behind two: an expected wait of 80 ms
    assert work.levels == [ServiceLevel.EVERYTHING, ServiceLevel.FEWER_CANDIDATES, ServiceLevel.EVERYTHING]


def test_what_is_under_way_and_what_has_waited_count_for_whoever_comes():
    work = Work()

    async def scene(queue: AnsweringQueue[Any, str, str]) -> None:
        assert queue.level() is ServiceLevel.EVERYTHING
        first = await occupy(queue, work)
        assert queue.level() is ServiceLevel.POPULAR  # 10 s are left of the one, however slow this machine is
        queue.load.work_ms = 0.0
        waiting = await ask(queue, "a")
        assert [queue.level(waited_ms) for waited_ms in (0.0, 60.0, 201.0)] == [
            ServiceLevel.EVERYTHING,
            ServiceLevel.FEWER_CANDIDATES,
            ServiceLevel.NOTHING,
        ]
        work.may_answer.set()
        await asyncio.gather(first, waiting)

    run(scene, work, work_ms=10_000.0)


def test_whoever_has_waited_too_long_when_their_turn_comes_gets_what_is_popular():
    work = Work()

    async def scene(queue: AnsweringQueue[Any, str, str]) -> None:
        first = await occupy(queue, work)
        late = asyncio.create_task(queue.answer(is_there, PRODUCTION, "late", waited_ms=3_600_000.0))
        await asyncio.sleep(0)
        others = [await ask(queue, name) for name in ("a", "b")]
        queue.load.max_wait_ms = 3_000_000.0
        work.may_answer.set()
        assert await asyncio.gather(first, late, *others) == [f"answer to {n}" for n in ("first", "late", "a", "b")]

    run(scene, work)
    assert work.blocks[1:] == [(PRODUCTION, ["late"]), (PRODUCTION, ["a", "b"])]
    assert work.levels == [ServiceLevel.EVERYTHING, ServiceLevel.POPULAR, ServiceLevel.EVERYTHING]


@pytest.mark.parametrize("raised", [ValueError("bad"), StopIteration("bad"), SystemExit("bad")])
def test_whatever_the_work_raises_reaches_who_waits_and_the_next_is_answered(raised: BaseException):
    def work(_level: ServiceLevel, _served: Any, asked: Sequence[str]) -> list[str]:
        if "bad" in asked:
            raise raised
        return list(asked)

    async def within_a_loop() -> None:
        queue = AnsweringQueue[Any, str, str](Load(200, 64), work)
        with pytest.raises((type(raised), RuntimeError), match="bad"):
            await queue.answer(is_there, PRODUCTION, "bad")
        assert await queue.answer(is_there, PRODUCTION, "good") == "good"
        queue.close()

    asyncio.run(within_a_loop())


def test_a_queue_that_is_closed_has_answered_whoever_waited_and_ended_its_thread():
    work, before = Work(), set(threading.enumerate())

    async def scene(queue: AnsweringQueue[Any, str, str]) -> None:
        first, others = await occupy(queue, work), [await ask(queue, "a"), await ask(queue, "b", CANARY)]
        work.may_answer.set()
        queue.close()
        assert await asyncio.gather(first, *others) == ["answer to first", "answer to a", "answer to b"]
        assert "answering" not in {thread.name for thread in set(threading.enumerate()) - before}

    run(scene, work)


def test_whoever_stops_waiting_holds_nobody_up():
    work = Work()

    async def scene(queue: AnsweringQueue[Any, str, str]) -> None:
        first = await occupy(queue, work)
        cancelled, other = await ask(queue, "cancelled"), await ask(queue, "other")
        cancelled.cancel()
        work.may_answer.set()
        assert await other == "answer to other"
        await first

    run(scene, work)
