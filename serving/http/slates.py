"""The work of a thread that answers: slates for requests that came together, and the records of what they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from contracts.slates import RecommendRequest, Slate
from release.parity.used_values import UsedValues
from serving.logs.event_log import EventLog
from serving.logs.records import impressions
from serving.metrics import Metrics
from serving.served import Answered, Arm, Served


@dataclass(frozen=True)
class Shown:
    """A slate with what is logged of it where it is sent. values: what it stands on, where that is logged."""

    request: RecommendRequest
    slate: Slate
    values: UsedValues | None
    arm: Arm
    now: datetime
    impressions: list[bytes]


@dataclass(frozen=True)
class Slates:
    """Makes slates, counts them, and logs those that are sent."""

    log: EventLog
    metrics: Metrics

    def answer(self, served: Served, requests: Sequence[RecommendRequest]) -> list[Shown]:
        """The slates of these requests, in their order; of some, also the values they stand on."""
        answered, now = served.answer_many(requests, self.log.values.wants), served.clock.now()
        return [self._shown(served, request, one, now) for request, one in zip(requests, answered, strict=True)]

    def note_sent(self, shown: Shown) -> None:
        """Log a slate whose client is there."""
        self.log.requests.append(shown.request, shown.arm, shown.now)
        if shown.values is not None:
            self.log.values.append(shown.values, shown.arm)
        self.log.append(shown.impressions)

    def _shown(self, served: Served, request: RecommendRequest, answered: Answered, now: datetime) -> Shown:
        slate = answered.slate
        self.metrics.slate_answered(slate, served.arm)
        records = self.log.encoded(impressions(request, slate, served.arm, now))
        return Shown(request, slate, answered.values, served.arm, now, records)
