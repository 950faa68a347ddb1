"""Slates for everybody: people stream from the files of the generation that is served, slates into Parquet.

Each person gets what the API would answer at the moment the run began: the same release, generation and recent events,
through the same path. Memory holds the release, the items and a few thousand people, however many there are. Several
processes answer; which of them answers whom changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import polars as pl

from contracts.clock import FixedClock
from contracts.errors import ArtefactError, SlateworkError
from contracts.filters import Filter, filter_in, filter_text
from contracts.fingerprint import fingerprint_json
from contracts.home import Home
from contracts.ids import UserId
from contracts.progress import Progress
from contracts.settings.settings import Settings
from contracts.slates import RecommendRequest, Slate
from feature_store.online.connection import Client, connect
from feature_store.online.recent_events import read_recent
from feature_store.readers.values_stream import ChunkReader, PeopleChunk, people_chunks
from feature_store.values.values_folder import ValuesFolder
from release.answering.bounds import check_length
from release.answering.request_path import answer_many
from release.bundle.bundle import Release, load_bundle
from release.bundle.bundle_store import BundleStore
from release.bundle.generation_store import GenerationStore
from serving.batch.parts import SLATE_SCHEMA, BatchHeader, begun, count_rows, part_path, write_part
from serving.batch.people_file import named_people
from serving.live.production import store_url
from serving.served_now import served_now

PEOPLE_PER_PART = 4096
WAITING_PARTS = 2  # for each process: enough that none waits for the files, and few people in memory


@dataclass(frozen=True)
class _Job:
    """What a process has to know to answer: everything is read again there."""

    home: Home
    app: str
    store: str
    store_timeout_ms: int
    values: Path
    folder: Path
    header: BatchHeader
    seed: int


def write_slates(
    home: Home,
    settings: Settings,
    folder: Path,
    people: Path | None,
    k: int,
    n_processes: int,
    passing: Filter | None = None,
) -> BatchHeader:
    """Write a slate of k for everybody of the generation that is served, or for the people of a file.

    people: a Parquet or CSV file with a column `user_id`; passing: what every item must satisfy. Goes on where an
    earlier run into the folder was stopped.
    Raises WrongInput for a k, a filter or a file that can't be, or a folder of other slates; UnknownId for a filter's
    field that the release has not; StoreError when nothing is in production or Redis is away; ArtefactError when an
    answer would have to do without something.
    """
    with served_now(home, settings) as served:
        check_length(k, served.release.request.max_k, served.release_id)
        served.release.filters.allowed(passing)
        named = None if people is None else named_people(people)
        wanted = BatchHeader(
            served.release_id,
            served.generation_id,
            served.clock.now(),
            k,
            None if named is None else fingerprint_json(named),
            PEOPLE_PER_PART,
            filter=None if passing is None else filter_text(passing),
        )
        header = begun(folder, wanted)
        if header.is_whole:
            return header
        values = GenerationStore(home).path(header.release_id, header.generation_id)
        timeout_ms = settings.serving.store_timeout_ms
        job = _Job(home, settings.app, store_url(home), timeout_ms, values, folder, header, settings.seed)
        _write_parts(job, named, n_processes)
    n_people, n_rows = count_rows(folder)
    whole = replace(header, n_people=n_people, n_rows=n_rows)
    whole.save(folder)
    return whole


def _write_parts(job: _Job, named: Sequence[str] | None, n_processes: int) -> None:
    source = ValuesFolder(job.values)
    total = source.counts["n_users"] if named is None else len(named)
    with Progress(total=total, desc="slates", unit="person") as progress, _pool(job, n_processes) as pool:
        coming: set[Future[int]] = set()
        for number, (chunk, user_ids) in enumerate(_asked(people_chunks(source, job.header.people_per_part), named)):
            if part_path(job.folder, number).exists():
                progress.update(len(user_ids))
                continue
            coming.add(pool.submit(_answer_part, number, chunk, user_ids))
            if len(coming) >= WAITING_PARTS * n_processes:
                coming = _wait_for(coming, progress, FIRST_COMPLETED)
        _wait_for(coming, progress, ALL_COMPLETED)


def _wait_for(coming: set[Future[int]], progress: Progress, until: str) -> set[Future[int]]:
    """Those that are not done yet; raises what one that is done died of."""
    done, waiting = wait(coming, return_when=until)
    for one in done:
        try:
            progress.update(one.result())
        except BrokenProcessPool as error:
            raise ArtefactError(
                "A process that answers was killed, perhaps for want of memory.",
                "Run the command again: it goes on where it stopped; `--processes 1` takes less memory.",
            ) from error
    return waiting


def _asked(chunks: Iterable[PeopleChunk], named: Sequence[str] | None) -> Iterator[tuple[PeopleChunk, list[str]]]:
    """Each chunk with the people of it who are answered: all, or those named; nobody named is left out."""
    at = 0
    for chunk in chunks:
        if named is None:
            yield chunk, chunk.user_ids
            continue
        start = at
        while at < len(named) and chunk.covers(named[at]):
            at += 1
        yield chunk, list(named[start:at])


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
def _pool(job: _Job, n_processes: int) -> Iterator[Executor]:
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


@dataclass(frozen=True)
class _Answering:
    """What one process answers with."""

    job: _Job
    release: Release
    reader: ChunkReader
    store: Client

    @classmethod
    def begin(cls, job: _Job) -> _Answering:
        release = load_bundle(BundleStore(job.home).path(job.header.release_id))
        reader = ChunkReader(ValuesFolder(job.values), release.schemas, release.catalogue.ids)
        return cls(job, release, reader, connect(job.store, job.store_timeout_ms))

    def answer_part(self, number: int, chunk: PeopleChunk, user_ids: Sequence[str]) -> int:
        """Write the slates of these people of the chunk; returns how many people there are."""
        header = self.job.header
        recent = read_recent(self.store, self.job.app, user_ids, self.release.catalogue.ids)
        self.reader.take(chunk, recent)
        wanted = None if header.filter is None else filter_in(header.filter)
        requests = [
            RecommendRequest(f"batch-{user_id}", user_id=UserId(user_id), k=header.k, seed=self.job.seed, filter=wanted)
            for user_id in user_ids
        ]
        slates = answer_many(self.release, self.reader, FixedClock(header.now), requests)
        write_part(self.job.folder, number, slates_table(user_ids, slates))
        return len(user_ids)


_answering: _Answering | SlateworkError | None = None  # of this process, once it has begun


def _begin(job: _Job) -> None:
    global _answering  # noqa: PLW0603 - an initializer has no other way to hand something to its process
    try:
        _answering = _Answering.begin(job)
    except SlateworkError as error:
        _answering = error  # raised with the first part: what an initializer raises is told to nobody


def _answer_part(number: int, chunk: PeopleChunk, user_ids: Sequence[str]) -> int:
    if not isinstance(_answering, _Answering):
        raise _answering or RuntimeError("This process has not begun.")
    return _answering.answer_part(number, chunk, user_ids)


def slates_table(user_ids: Sequence[str], slates: Sequence[Slate]) -> pl.DataFrame:
    """SLATE_SCHEMA of these people's slates; raises ArtefactError for one that had to do without something."""
    for user_id, slate in zip(user_ids, slates, strict=True):
        if slate.degraded:
            raise ArtefactError(
                f"The slate of {user_id!r} had to do without {', '.join(slate.degraded)}.",
                "The warning above names the error; mend it, and run the command again: it goes on where it stopped.",
            )
    items = [item for slate in slates for item in slate.items]
    lengths = [len(slate.items) for slate in slates]
    people = pl.DataFrame(
        {
            "user_id": list(user_ids),
            "tier": [str(slate.tier) for slate in slates],
            "release_id": [slate.release_id for slate in slates],
            "generation_id": [slate.generation_id for slate in slates],
            "n_items": lengths,
        },
        schema_overrides={"user_id": pl.String, "tier": pl.String, "release_id": pl.String, "generation_id": pl.String},
    )
    of_item = people.select(pl.exclude("n_items").repeat_by("n_items").explode(empty_as_null=False))
    return of_item.with_columns(
        pl.Series("position", [item.position for item in items], pl.Int32),
        pl.Series("item_id", [item.item_id for item in items], pl.String),
        pl.Series("score", [item.score for item in items], pl.Float32),
        pl.Series("source", [item.source for item in items], pl.String),
    ).select(SLATE_SCHEMA.names())
