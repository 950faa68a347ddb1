"""The work of a thread that answers: slates for requests that came together, and the records of what they show."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from contracts.slates import RecommendRequest, Slate
from release.parity.used_values import UsedValues
from serving.http.load import ServiceLevel
from serving.logs.event_log import EventLog
from serving.logs.records import impressions
from serving.metrics import Metrics
from serving.served import Answered, Arm, Served

QUEUE = "queue"  # how long an answer waited for a thread, among its `timings_ms`


@dataclass(frozen=True)
class Asked:
    """One request. came: when, by `time.perf_counter`."""

    request: RecommendRequest
    came: float


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

    def answer(self, level: ServiceLevel, served: Served, asked: Sequence[Asked]) -> list[Shown]:
        """The slates of these requests, in their order; of some, also the values they stand on."""
        began = time.perf_counter()
        served.popular_slate  # noqa: B018 - made by the first who are answered, for when it is needed at once
        answering = served if level is ServiceLevel.EVERYTHING else served.lighter
        answered = answering.answer_many([one.request for one in asked], self.log.values.wants)
        now = served.clock.now()
        self.metrics.answered_together.observe(len(asked))
        return [
            self._shown(served, one.request, _with_wait(made, began - one.came), now)
            for one, made in zip(asked, answered, strict=True)
        ]

    def popular(self, served: Served, asked: Asked) -> Shown:
        """What is popular, made without waiting for anything."""
        answered = Answered(served.popular(asked.request), None)
        return self._shown(served, asked.request, _with_wait(answered, 0.0), served.clock.now())

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


def _with_wait(answered: Answered, waited_s: float) -> Answered:
    """The answer that also tells how long it waited for a thread, as the stage `queue`."""
    slate = answered.slate
    return replace(answered, slate=replace(slate, timings_ms={QUEUE: round(1000 * waited_s, 3), **slate.timings_ms}))
