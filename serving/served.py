"""What a request is answered with: one release, one generation of values, one clock, and which arm they stand for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property, partial
from typing import TypeVar, cast

from contracts.clock import Clock
from contracts.errors import ArtefactError
from contracts.features import FeatureReader
from contracts.slates import RecommendRequest, Slate
from feature_store.online.pointer import Pointer
from feature_store.online.serving_targets import Canary
from feature_store.readers.unreachable_reader import UnreachableStoreReader
from release.answering.request_path import FEATURES, answer_many
from release.bundle.bundle import Release
from release.parity.used_values import UsedValues, ValuesRecorder
from release.replay.logged_answer import Moment
from serving.lighter_answers import named_as_lighter, popular_filter, popular_for, popular_slate, with_fewer_candidates

LOG = logging.getLogger(__name__)
MOST_KEPT = 16  # things made of what is served: of whatever may be asked, a few are asked again and again

Kept = TypeVar("Kept")


class Arm(StrEnum):
    """Which of the releases that the store names answers; every answer, impression and metric says it."""

    PRODUCTION = "production"
    CANARY = "canary"
    STAGING = "staging"


@dataclass(frozen=True)
class Answered:
    """A slate, and what gives the feature values it stands on: None where nobody wants them, or defaults stood in.

    moment: what it stands on beside its release and generation; None where the store could not be read.
    """

    slate: Slate
    values: Callable[[], UsedValues | None] | None
    moment: Moment | None = None


@dataclass(frozen=True)
class Served:
    """One release, one generation of values and one clock; a request takes it once and uses nothing else.

    online: whether the reader reaches Redis; missing: what every answer has to do without meanwhile. is_lighter:
    whether answers are made of fewer candidates than the release says.
    """

    arm: Arm
    release: Release
    reader: FeatureReader
    clock: Clock
    online: bool
    missing: tuple[str, ...] = ()
    is_lighter: bool = False

    @property
    def release_id(self) -> str:
        return self.release.release_id

    @property
    def generation_id(self) -> str:
        return self.reader.generation_id

    def answer(self, request: RecommendRequest) -> Slate:
        """The request path's slate, naming also what this server does without.

        Values in Redis that are not this release's are never mixed in: it is answered without any.
        """
        return self.answer_many([request])[0].slate

    def answer_many(
        self, requests: Sequence[RecommendRequest], wants_values: Callable[[str], bool] = lambda _request_id: False
    ) -> list[Answered]:
        """What `answer` gives for each of them, in their order. wants_values: whether those of a request are kept."""
        recorder = ValuesRecorder()
        slates = self._slates(requests, recorder)
        return [
            Answered(
                self._without_missing(slate),
                partial(recorder.used, slate)
                if FEATURES not in slate.degraded and wants_values(slate.request_id)
                else None,
                _moment(recorder, slate),
            )
            for slate in slates
        ]

    def popular(self, request: RecommendRequest) -> Slate:
        """What is popular, without a look at who asks: nothing is read or ranked for it.

        Of the request's placement, filters and blocks hold. The first time that a filter is asked for, a slate is made
        through it; raises as `answer` does of a filter.
        """
        wanted = popular_filter(self.release, request)
        allowed = self.release.filters.allowed(wanted)
        if allowed is None:
            return self._without_missing(popular_for(self.release, self.popular_slate, request))
        names = self.release, self.generation_id, wanted
        filtered = allowed.kept(("popular slate", self.generation_id), lambda: popular_slate(*names))
        return self._without_missing(popular_for(self.release, filtered, request))

    @cached_property
    def popular_slate(self) -> Slate:
        """What `popular` gives the head of."""
        return popular_slate(self.release, self.generation_id)

    @cached_property
    def lighter(self) -> Served:
        """The same, with fewer candidates for each answer."""
        return replace(self, release=with_fewer_candidates(self.release), is_lighter=True)

    def kept(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """What `make` gives, made once for as long as this is served. key: what it is of."""
        if key in self._kept:
            return cast("Kept", self._kept[key])
        made = make()
        if len(self._kept) < MOST_KEPT:
            self._kept[key] = made
        return made

    @cached_property
    def _kept(self) -> dict[Hashable, object]:
        return {}

    def _without_missing(self, slate: Slate) -> Slate:
        """The slate, naming what this server does without."""
        slate = named_as_lighter(slate) if self.is_lighter else slate
        return replace(slate, degraded=(*slate.degraded, *self.missing)) if self.missing else slate

    def _slates(self, requests: Sequence[RecommendRequest], recorder: ValuesRecorder) -> list[Slate]:
        try:
            return answer_many(self.release, self.reader, self.clock, requests, recorder)
        except ArtefactError as error:
            if len(requests) > 1:  # nobody goes without values because of somebody else's
                return [slate for request in requests for slate in self._slates([request], recorder)]
            LOG.warning("Redis holds what release %s cannot read: %s", self.release_id, error)
            without = UnreachableStoreReader(self.generation_id, error.problem, error.next_step)
            return answer_many(self.release, without, self.clock, requests)


def _moment(recorder: ValuesRecorder, slate: Slate) -> Moment | None:
    read = None if FEATURES in slate.degraded else recorder.read(slate.request_id)
    if read is None:
        return None
    person, now = read
    return Moment(now, person.session, person.recent)


@dataclass(frozen=True)
class Lineup:
    """Everything that can answer, as it stood at one moment.

    pointer: of what production answers with. share: who gets the canary; None without one.
    """

    pointer: Pointer
    production: Served
    canary: Served | None = None
    share: Canary | None = None
    staged: Served | None = None

    def __iter__(self) -> Iterator[Served]:
        return (served for served in (self.production, self.canary, self.staged) if served is not None)

    def arm(self, arm: Arm) -> Served | None:
        """What this arm answers with."""
        return next((served for served in self if served.arm is arm), None)

    def for_person(self, person: str | None) -> Served:
        """What this person is answered with, the same at every request; nobody known gets production."""
        if person is None or self.canary is None or self.share is None or not self.share.takes(person):
            return self.production
        return self.canary
