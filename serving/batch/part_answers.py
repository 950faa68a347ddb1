"""What one process answers parts of a batch with, whoever started it: the release, the rows of all items, the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import polars as pl

from contracts.clock import FixedClock
from contracts.errors import ArtefactError
from contracts.filters import Filter, filter_in
from contracts.fingerprint import FileState, hashed_once
from contracts.home import Home
from contracts.ids import UserId
from contracts.slates import RecommendRequest, Slate
from feature_store.online.connection import Client, connect
from feature_store.online.recent_events import read_recent
from feature_store.readers.values_stream import ChunkReader, PeopleChunk
from feature_store.values.values_folder import ValuesFolder
from release.answering.request_path import answer_many
from release.bundle.bundle import Release, load_bundle
from release.bundle.bundle_store import BundleStore
from serving.batch.parts import SLATE_SCHEMA, BatchHeader


@dataclass(frozen=True)
class BatchJob:
    """What a process has to know to answer: everything is read again there. It can be pickled, and compared.

    hashed: the files that whoever began it compared with the manifest just now; those are not read for it again.
    """

    home: Home
    app: str
    store: str
    store_timeout_ms: int
    values: Path
    folder: Path
    header: BatchHeader
    seed: int
    hashed: Mapping[FileState, str] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def filter(self) -> Filter | None:
        return None if self.header.filter is None else filter_in(self.header.filter)


@dataclass(frozen=True)
class Part:
    """Those people of a chunk who are answered. number: of the file that their slates go into."""

    number: int
    chunk: PeopleChunk
    user_ids: Sequence[str]


@dataclass(frozen=True)
class PartAnswers:
    """Answers parts of one job."""

    job: BatchJob
    release: Release
    reader: ChunkReader
    store: Client

    @classmethod
    def begin(cls, job: BatchJob) -> PartAnswers:
        """Load the release; raises SlateworkError where it is not there, or not as it was built."""
        with hashed_once(job.hashed):
            release = load_bundle(BundleStore(job.home).path(job.header.release_id))
        reader = ChunkReader(ValuesFolder(job.values), release.schemas, release.catalogue.ids)
        return cls(job, release, reader, connect(job.store, job.store_timeout_ms))

    def slates_of(self, part: Part) -> pl.DataFrame:
        """SLATE_SCHEMA: the slates of these people, in their order."""
        header = self.job.header
        recent = read_recent(self.store, self.job.app, part.user_ids, self.release.catalogue.ids)
        self.reader.take(part.chunk, recent)
        requests = [
            RecommendRequest(
                f"batch-{user_id}",
                user_id=UserId(user_id),
                k=header.k,
                seed=self.job.seed,
                filter=self.job.filter,
                placement=header.placement,
            )
            for user_id in part.user_ids
        ]
        return slates_table(part.user_ids, answer_many(self.release, self.reader, FixedClock(header.now), requests))


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
