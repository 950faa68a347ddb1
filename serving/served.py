"""What a request is answered with: one release, one generation of values, one clock, and which arm they stand for."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from contracts.clock import Clock
from contracts.errors import ArtefactError
from contracts.features import FeatureReader
from contracts.slates import RecommendRequest, Slate
from feature_store.online.pointer import Pointer
from feature_store.online.serving_targets import Canary
from feature_store.readers.unreachable_reader import UnreachableStoreReader
from release.answering.request_path import FEATURES, answer
from release.bundle.bundle import Release
from release.parity.used_values import RecordingReader, UsedValues

LOG = logging.getLogger(__name__)


class Arm(StrEnum):
    """Which of the releases that the store names answers; every answer, impression and metric says it."""

    PRODUCTION = "production"
    CANARY = "canary"
    STAGING = "staging"


@dataclass(frozen=True)
class Served:
    """One release, one generation of values and one clock; a request takes it once and uses nothing else.

    online: whether the reader reaches Redis; missing: what every answer has to do without meanwhile.
    """

    arm: Arm
    release: Release
    reader: FeatureReader
    clock: Clock
    online: bool
    missing: tuple[str, ...] = ()

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
        return self._answer(request, self.reader)

    def answer_with_values(self, request: RecommendRequest) -> tuple[Slate, UsedValues | None]:
        """The slate, and the feature values it stands on; None where they could not be read, and defaults stood in."""
        reader = RecordingReader(self.reader, self.release.schemas.user)
        slate = self._answer(request, reader)
        return slate, None if FEATURES in slate.degraded else reader.used(slate)

    def _answer(self, request: RecommendRequest, reader: FeatureReader) -> Slate:
        try:
            slate = answer(self.release, reader, self.clock, request)
        except ArtefactError as error:
            LOG.warning("Redis holds what release %s cannot read: %s", self.release_id, error)
            without = UnreachableStoreReader(self.generation_id, error.problem, error.next_step)
            slate = answer(self.release, without, self.clock, request)
        return replace(slate, degraded=(*slate.degraded, *self.missing)) if self.missing else slate


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
