"""Logged requests answered again: the same release, generation, moment and events, so the same answer, byte for byte.

The release and the generation are those that this machine keeps, so that a fresh clone with both gives what a server
gave. What was answered without something (a store that was away, or an answer that was shed of something under load) is
not asked again: what it had to do without is not logged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from pathlib import Path

from contracts.clock import FixedClock
from contracts.errors import ArtefactError
from contracts.features import FeatureReader, Person, ReadRows, Visitor
from contracts.home import Home
from contracts.ids import ItemId, SessionId, UserId
from contracts.slates import Slate
from feature_store.readers.offline_reader import OfflineFeatureReader
from feature_store.values.values import FeatureValues
from release.answering.request_path import Recorder, answer_many
from release.bundle.bundle import Release, load_bundle
from release.bundle.bundle_store import BundleStore
from release.bundle.generation_store import GenerationStore
from release.replay.logged_answer import LoggedAnswer, Moment, slate_fingerprint


class Outcome(StrEnum):
    """What came of a request that was answered again."""

    SAME = "same"
    DIFFERENT = "different"
    DEGRADED = "answered without something"
    GONE = "release or generation gone"


@dataclass(frozen=True)
class Replayed:
    """A request answered again. slate: None where it could not be asked; why_gone: then, what is missing."""

    logged: LoggedAnswer
    outcome: Outcome
    slate: Slate | None = None
    why_gone: str | None = None


@dataclass(frozen=True)
class MomentReader:
    """Reads from another reader, as if it were a moment: what was done just before it is what was read then."""

    reader: FeatureReader
    moment: Moment

    @property
    def generation_id(self) -> str:
        return self.reader.generation_id

    def read_person(self, user_id: UserId | None, session_id: SessionId | None, now: datetime) -> Person:
        """What the other reader knows of the person, with the events of the moment."""
        return self.read_people([Visitor(user_id, session_id)], now)[0]

    def read_people(self, visitors: Sequence[Visitor], now: datetime) -> list[Person]:
        """The same of each of them."""
        _, session, recent = self.moment
        people = self.reader.read_people(visitors, now)
        return [replace(person, session=session, recent=recent) for person in people]

    def read_items(self, item_ids: Sequence[ItemId], now: datetime) -> ReadRows:
        """The other reader's rows."""
        return self.reader.read_items(item_ids, now)


@dataclass(frozen=True)
class Answerer:
    """One release with one of its generations."""

    release: Release
    reader: FeatureReader

    @classmethod
    def of(cls, bundle: Path, values: Path) -> Answerer:
        """Of a bundle, and the folder of a generation's values. Raises ArtefactError where one is damaged."""
        release = load_bundle(bundle)
        reader = OfflineFeatureReader(FeatureValues.load(values), release.schemas, release.catalogue.ids)
        return cls(release, reader)

    @classmethod
    def kept(cls, home: Home, release_id: str, generation_id: str) -> Answerer:
        """What this machine keeps. Raises ArtefactError where it keeps one of the two no more."""
        return cls.of(BundleStore(home).path(release_id), GenerationStore(home).path(release_id, generation_id))

    def answer(self, logged: LoggedAnswer, recorder: Recorder | None = None) -> Slate:
        """What the request gets, as of its moment. recorder: is handed what the slate stands on."""
        reader, clock = MomentReader(self.reader, logged.moment), FixedClock(logged.moment.now)
        return answer_many(self.release, reader, clock, [logged.request], recorder)[0]

    def answer_again(self, logged: LoggedAnswer) -> Replayed:
        """The same, held against what was answered."""
        if logged.degraded:
            return Replayed(logged, Outcome.DEGRADED)
        slate = self.answer(logged)
        is_same = slate_fingerprint(slate) == logged.fingerprint
        return Replayed(logged, Outcome.SAME if is_same else Outcome.DIFFERENT, slate)


def replay_logged(home: Home, answers: Sequence[LoggedAnswer]) -> Iterator[Replayed]:
    """Each request answered again, those of one release and generation together; one pair at a time is in memory."""
    for (release_id, generation_id), own in groupby(sorted(answers, key=_pair), _pair):
        try:
            answerer = Answerer.kept(home, release_id, generation_id)
        except ArtefactError as error:
            yield from (Replayed(logged, Outcome.GONE, why_gone=error.problem) for logged in own)
            continue
        yield from map(answerer.answer_again, own)


def counts(replayed: Sequence[Replayed]) -> dict[str, int]:
    """How many came to what, every outcome named."""
    counted = Counter(one.outcome for one in replayed)
    return {str(outcome): counted[outcome] for outcome in Outcome}


def _pair(logged: LoggedAnswer) -> tuple[str, str]:
    return logged.release_id, logged.generation_id
