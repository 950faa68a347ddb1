"""Parts of a batch answered by processes of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

from contracts.errors import ArtefactError, SlateworkError
from serving.batch.part_answers import BatchJob, Part, PartAnswers
from serving.batch.parts import write_part

WAITING_PARTS = 2  # for each process: enough that none waits for the files, and few people in memory


def written_by_processes(job: BatchJob, parts: Iterable[Part], n_processes: int) -> Iterator[int]:
    """Write the slates of each part; yields how many people a part had, as parts are done."""
    with _pool(job, n_processes) as pool:
        coming: set[Future[int]] = set()
        for part in parts:
            coming.add(pool.submit(_write, part))
            if len(coming) >= WAITING_PARTS * n_processes:
                done, coming = wait(coming, return_when=FIRST_COMPLETED)
                yield from map(_n_people, done)
        yield from map(_n_people, wait(coming, return_when=ALL_COMPLETED).done)


def _n_people(done: Future[int]) -> int:
    """What it gave; raises what it died of."""
    try:
        return done.result()
    except BrokenProcessPool as error:
        raise ArtefactError(
            "A process that answers was killed, perhaps for want of memory.",
            "Run the command again: it goes on where it stopped; `--processes 1` takes less memory.",
        ) from error


class _ThisProcess(Executor):
    """Does what is submitted at once, here."""

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(call(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - whoever asks for the result gets it
            done.set_exception(error)
        return done


@contextmanager
def _pool(job: BatchJob, n_processes: int) -> Iterator[Executor]:
    if n_processes == 1:
        _begin(job)
        yield _ThisProcess()
        return
    # A process started anew: one forked from this would share the locks of its threads.
    context = get_context("forkserver")
    with ProcessPoolExecutor(n_processes, context, initializer=_begin, initargs=(job,)) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


_answers: PartAnswers | SlateworkError | None = None  # of this process, once it has begun


def _begin(job: BatchJob) -> None:
    global _answers  # noqa: PLW0603 - an initializer has no other way to hand something to its process
    try:
        _answers = PartAnswers.begin(job)
    except SlateworkError as error:
        _answers = error  # raised with the first part: what an initializer raises is told to nobody


def _write(part: Part) -> int:
    if not isinstance(_answers, PartAnswers):
        raise _answers or RuntimeError("This process has not begun.")
    write_part(_answers.job.folder, part.number, _answers.slates_of(part))
    return len(part.user_ids)
