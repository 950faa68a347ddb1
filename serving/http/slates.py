"""The work of the thread that answers: slates for requests that came together, encoded, with what is logged of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from contracts.slates import RecommendRequest, Slate
from release.replay.logged_answer import Moment, answered_fields
from serving.http.answers import json_bytes
from serving.http.load import ServiceLevel
from serving.lighter_answers import popular_filter
from serving.logs import records
from serving.logs.event_log import EventLog
from serving.logs.values_log import Values
from serving.metrics import Metrics
from serving.served import Arm, Served

QUEUE = "queue"  # how long an answer waited for the thread, among its `timings_ms`


@dataclass(frozen=True)
class Asked:
    """One request. came: when it was read, by `time.perf_counter`."""

    request: RecommendRequest
    came: float


@dataclass(frozen=True)
class Shown:
    """A slate as it is sent, and what is logged of it then. values: what gives those it stands on, where logged.

    moment: what else it stands on; None where it cannot be given again.
    """

    level: ServiceLevel
    request: RecommendRequest
    slate: Slate
    values: Values | None
    arm: Arm
    now: datetime
    body: bytes
    moment: Moment | None = None


@dataclass(frozen=True)
class _PopularHead:
    """What is popular, so long and with or without reasons, for whoever asks for nothing else. rest: behind its id."""

    slate: Slate
    rest: bytes

    @classmethod
    def of(cls, slate: Slate, arm: Arm) -> _PopularHead:
        return cls(slate, _body(slate, arm).removeprefix(cls._beginning(slate.request_id)))

    @staticmethod
    def _beginning(request_id: str) -> bytes:
        return b'{"request_id":"%s"' % request_id.encode()

    def body(self, request_id: str) -> bytes:
        """The slate of this request, encoded."""
        return self._beginning(request_id) + self.rest


@dataclass(frozen=True)
class Slates:
    """Makes slates, counts them, and logs those that are sent."""

    log: EventLog
    metrics: Metrics

    def answer(self, level: ServiceLevel, served: Served, asked: Sequence[Asked]) -> list[Shown]:
        """The slates of these requests, in their order; of some, also the values they stand on."""
        if level is ServiceLevel.POPULAR:
            return [self.popular(served, one) for one in asked]
        began = time.perf_counter()
        served.popular_slate  # noqa: B018 - made by the first who are answered, for when it is needed at once
        answering = served if level is ServiceLevel.EVERYTHING else served.lighter
        wants_values = self.log.values.wants if level is ServiceLevel.EVERYTHING else self._leaves_out_values
        answered = answering.answer_many([one.request for one in asked], wants_values)
        now = served.clock.now()
        self.metrics.answered_together.observe(len(asked))
        return [
            self._shown(
                level, served, one.request, _with_wait(made.slate, began - one.came), made.values, now, made.moment
            )
            for one, made in zip(asked, answered, strict=True)
        ]

    def popular(self, served: Served, asked: Asked) -> Shown:
        """What is popular, made without waiting for anything."""
        request, now = asked.request, served.clock.now()
        names_items = request.item_id is not None or request.preferences.item_ids
        if names_items or popular_filter(served.release, request) is not None:
            slate = _with_wait(served.popular(request), 0.0)
            return self._shown(ServiceLevel.POPULAR, served, request, slate, None, now)
        head = served.kept(
            ("popular head", request.placement, request.k, request.explain), partial(_popular_head, served, request)
        )
        slate = replace(head.slate, request_id=request.request_id)
        self.metrics.slate_answered(slate, served.arm)
        return Shown(ServiceLevel.POPULAR, request, slate, None, served.arm, now, head.body(request.request_id))

    def note_sent(self, shown: Shown) -> None:
        """Log a slate whose client is there; the question of one that nothing was ranked for is left out."""
        if shown.level is ServiceLevel.POPULAR:
            self.log.requests.leave_out()
        else:
            self.log.requests.append(shown.request, shown.arm, shown.now, _answered(shown))
        if shown.values is not None:
            self.log.values.append(shown.values, shown.arm)
        if shown.slate.items:
            self.log.append(1, partial(_records, shown))

    def _leaves_out_values(self, request_id: str) -> bool:
        """Of an answer that is shed of something no values are logged: they cost as much again."""
        if self.log.values.wants(request_id):
            self.log.values.leave_out()
        return False

    def _shown(
        self,
        level: ServiceLevel,
        served: Served,
        request: RecommendRequest,
        slate: Slate,
        values: Values | None,
        now: datetime,
        moment: Moment | None = None,
    ) -> Shown:
        self.metrics.slate_answered(slate, served.arm)
        return Shown(level, request, slate, values, served.arm, now, _body(slate, served.arm), moment)


def _popular_head(served: Served, request: RecommendRequest) -> _PopularHead:
    return _PopularHead.of(_with_wait(served.popular(request), 0.0), served.arm)


def _body(slate: Slate, arm: Arm) -> bytes:
    return json_bytes({**vars(slate), "arm": arm})


def _answered(shown: Shown) -> Callable[[], dict[str, Any]] | None:
    """What gives the log's account of the answer, called when it is written."""
    return None if shown.moment is None else partial(answered_fields, shown.slate, shown.moment)


def _records(shown: Shown) -> list[bytes]:
    return EventLog.encoded([records.shown(shown.request, shown.slate, shown.arm, shown.now)])


def _with_wait(slate: Slate, waited_s: float) -> Slate:
    """The slate that also tells how long it waited for the thread, as the stage `queue`."""
    return replace(slate, timings_ms={QUEUE: round(1000 * waited_s, 3), **slate.timings_ms})
