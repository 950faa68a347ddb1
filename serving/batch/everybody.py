"""Slates for everybody: people stream from the files of the generation that is served, slates into Parquet.

Each person gets what the API would answer at the moment the run began: the same release, generation and recent events,
through the same path. Memory holds the release, the items and a few thousand people, however many there are. Several
processes answer, of this machine or of Spark; which of them answers whom changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from contracts.file_lock import locked
from contracts.filters import Filter, filter_text
from contracts.fingerprint import fingerprint_json, hashed_once
from contracts.home import Home
from contracts.progress import Progress
from contracts.settings.settings import Settings
from contracts.slates import RecommendRequest
from contracts.tables import GUEST
from feature_store.readers.values_stream import PeopleChunk, people_chunks
from feature_store.values.values_folder import ValuesFolder
from release.answering.placing import most_items
from release.answering.request_limits import check_length
from release.bundle.generation_store import GenerationStore
from serving.batch.part_answers import BatchJob, Part
from serving.batch.parts import BatchHeader, begun, count_rows, part_path
from serving.batch.people_file import named_people
from serving.batch.processes import written_by_processes
from serving.current_release import served_now
from serving.known_ids import check_known
from serving.live.production import store_url

EngineName = Literal["processes", "spark"]
PEOPLE_PER_PART = 4096


def write_slates(
    home: Home,
    settings: Settings,
    folder: Path,
    people: Path | None,
    k: int,
    n_processes: int,
    passing: Filter | None = None,
    engine: EngineName = "processes",
    placement: str | None = None,
) -> BatchHeader:
    """Write a slate of k for everybody of the generation that is served, or for the people of a file.

    people: a Parquet or CSV file with a column `user_id`; passing: what every item must satisfy; engine: what answers,
    `n_processes` of this machine or Spark, which changes no row; placement: where they are shown, home if None. Goes on
    where an earlier run into the folder was stopped.
    Raises Busy while another process writes into the folder; WrongInput for a k, a filter or a file that can't be, or a
    folder of other slates; UnknownId for a filter's field or a placement that is none; StoreError when nothing is in
    production or Redis is away; ArtefactError when an answer would have to do without something, or a part that is
    there is damaged; EngineMissing where Spark is asked for and is not there.
    """
    with _alone_in(folder, home), hashed_once() as hashed, served_now(home, settings) as served:
        request = RecommendRequest("batch", filter=passing, placement=placement)
        check_known(served.release, request)
        check_length(k, most_items(served.release, request), served.release_id)
        named = None if people is None else named_people(people)
        wanted = BatchHeader(
            served.release_id,
            served.generation_id,
            served.clock.now(),
            k,
            None if named is None else fingerprint_json(named),
            PEOPLE_PER_PART,
            filter=None if passing is None else filter_text(passing),
            placement=placement,
        )
        header = begun(folder, wanted)
        if header.is_whole:
            return header
        values = GenerationStore(home).path(header.release_id, header.generation_id)
        timeout_ms = settings.serving.store_timeout_ms
        job = BatchJob(home, settings.app, store_url(home), timeout_ms, values, folder, header, settings.seed, hashed)
        asked_for = _write_parts(job, named, n_processes, engine)
    n_people, n_rows = count_rows(folder)
    whole = replace(
        header, n_people=n_people, n_rows=n_rows, n_guests=asked_for.n_guests, n_unknown=asked_for.n_unknown
    )
    whole.save(folder)
    return whole


def _alone_in(folder: Path, home: Home) -> AbstractContextManager[None]:
    """Two that write one file at once leave half of it. The lock lies elsewhere: others read all of the folder."""
    lock = home.root / "batch" / f"{fingerprint_json(str(folder.resolve()))}.lock"
    return locked(lock, 1.0, f"Another `slate batch` writes into {folder}: wait for it, or name another folder.")


@dataclass
class _AskedFor:
    """Who was asked for so far, in the parts that were there as in those that were not."""

    n_guests: int = 0
    n_unknown: int = 0

    def add(self, chunk: PeopleChunk, user_ids: Sequence[str], *, are_named: bool) -> None:
        self.n_guests += sum(user_id.startswith(GUEST) for user_id in user_ids)
        if are_named:
            self.n_unknown += len(set(user_ids).difference(chunk.user_ids))


def _write_parts(job: BatchJob, named: Sequence[str] | None, n_processes: int, engine: EngineName) -> _AskedFor:
    asked_for = _AskedFor()
    source = ValuesFolder(job.values)
    total = source.counts["n_users"] if named is None else len(named)
    with Progress(total=total, desc="slates", unit="person") as progress:
        parts = _parts_to_write(
            job, _asked(people_chunks(source, job.header.people_per_part), named, asked_for), progress
        )
        for n_people in _written(job, parts, n_processes, engine):
            progress.update(n_people)
    return asked_for


def _written(job: BatchJob, parts: Iterator[Part], n_processes: int, engine: EngineName) -> Iterator[int]:
    if engine == "processes":
        return written_by_processes(job, parts, n_processes)
    from serving.batch.on_spark import written_on_spark  # noqa: PLC0415 - seconds, for those who ask for Spark

    return written_on_spark(job, parts)


def _parts_to_write(
    job: BatchJob, asked: Iterable[tuple[PeopleChunk, list[str]]], progress: Progress
) -> Iterator[Part]:
    """Those whose file is not there yet; the others count as done."""
    for number, (chunk, user_ids) in enumerate(asked):
        if part_path(job.folder, number).exists():
            progress.update(len(user_ids))
        else:
            yield Part(number, chunk, user_ids)


def _asked(
    chunks: Iterable[PeopleChunk], named: Sequence[str] | None, asked_for: _AskedFor
) -> Iterator[tuple[PeopleChunk, list[str]]]:
    """Each chunk with the people of it who are answered: all, or those named; nobody named is left out."""
    at = 0
    for chunk in chunks:
        if named is None:
            everybody = chunk.user_ids
            asked_for.add(chunk, everybody, are_named=False)
            yield chunk, everybody
            continue
        start = at
        while at < len(named) and chunk.covers(named[at]):
            at += 1
        asked_for.add(chunk, named[start:at], are_named=True)
        yield chunk, list(named[start:at])
