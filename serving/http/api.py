"""What each route does: take the lineup once, make one call, answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Literal

import anyio
import anyio.to_thread
from fastapi import Header, Request
from starlette.responses import Response

from contracts.calendar import epoch_microseconds
from contracts.clock import Clock, WallClock
from contracts.errors import StoreError, StoreUnavailable
from contracts.events import EVENT_CODES, EventType
from contracts.ids import ItemId, SessionId, UserId
from feature_store.online.recent_events import RecentEvent
from feature_store.online.serving_targets import Canary, Staged
from release.answering.placing import most_items
from release.answering.request_limits import is_too_long
from serving.http.answering_queue import COME_AGAIN_S, AnsweringQueue, ClientGone
from serving.http.answers import JsonAnswer, error_answer, error_fields
from serving.http.arrivals import Arrival, RequestIds
from serving.http.load import ServiceLevel
from serving.http.slates import Asked, Shown, Slates
from serving.known_ids import check_known, unknown_items
from serving.lighter_answers import popular_filter
from serving.live.clocks import moment_by_clock
from serving.live.live_release import LiveRelease
from serving.live.live_state import LiveState
from serving.live.next_lineup import STARTING
from serving.live.production import Production
from serving.logs.event_log import EventLog
from serving.logs.records import events
from serving.metrics import Metrics
from serving.served import Arm, Lineup, Served
from serving.wire import EventBatch, Question, SentEvent, SentEvents

N_EVENT_THREADS = 2  # two short waits for Redis, and no work for the CPU
CLIENT_CLOSED_REQUEST = 499  # as nginx says it, in the metrics: nobody receives it
# What an event could not be appended to, as the answer's `degraded` names it.
SESSIONS = "sessions"
RECENT_EVENTS = "recent_events"
# What /readyz names as missing, beside the pointer.
ONLINE_STORE = "online_store"
VALUES = "values"  # some that were published are not in Redis any more, or are damaged there
STAGE_NAME = b"x-slate-stage"
STAGE_HEADER = Header(alias="X-Slate-Stage", description="`staging` asks for the release in Staging, if that is on.")
METRICS_TYPE = "text/plain; version=1.0.0; charset=utf-8"


@dataclass(frozen=True)
class Api:
    """The routes' functions.

    seed: of exploration, the same for every request of this server; staging: whether a request may ask for Staging;
    clock: by which releases answer; wall: what clients' clocks are held against.
    Slates, filters, events and metrics each have threads of their own: none starves behind another.
    """

    app: str
    live: LiveRelease
    production: Production
    log: EventLog
    metrics: Metrics
    slates: Slates
    queue: AnsweringQueue[Served, Asked, Shown]
    seed: int
    staging: bool
    clock: Literal["wall", "release"]
    wall: Clock = field(default_factory=WallClock)
    request_ids: RequestIds = field(default_factory=RequestIds)
    event_threads: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(N_EVENT_THREADS))
    filters_thread: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(1))
    metrics_thread: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(1))

    async def recommend(
        self, request: Request, question: Question, stage: Annotated[Literal["staging"] | None, STAGE_HEADER] = None
    ) -> Response:
        """A slate for a person, a session or a newcomer, by the release in production, or the one this person gets."""
        state, arrival = self.live.state, Arrival.of(request.scope)
        if state.lineup is None:
            return self._not_ready()
        if stage is None:
            return await self.answer(question, arrival)
        if not self.staging:
            return _staging_is_off()
        if state.lineup.staged is None:
            return _nothing_staged(state)
        return await self._answer(question, arrival, state.lineup.staged)

    async def answer(self, question: Question, arrival: Arrival) -> Response:
        """What `recommend` answers to whoever does not ask for Staging."""
        lineup = self.live.current
        if lineup is None:
            return self._not_ready()
        return await self._answer(question, arrival, lineup.for_person(question.user_id or question.session_id))

    def note_lag(self, mean_ms: float, latest_ms: float) -> None:
        """The event loop came so late to what waits for it: of late, and just now."""
        self.queue.load.lag_ms = mean_ms
        self.metrics.loop_lag_seconds.observe(latest_ms / 1000)

    def level(self, arrival: Arrival) -> ServiceLevel:
        """What this request can have now."""
        return self.queue.level(arrival.waited_ms())

    def refused(self) -> Response:
        """The answer to a request for which it is too late, whatever it asks."""
        self.metrics.unanswered.labels("too_late").inc()
        return _come_again(self.queue.load.max_wait_ms)

    async def _answer(self, question: Question, arrival: Arrival, served: Served) -> Response:
        """The answer, in its turn; what is shown is logged while its client is there, and before it can click."""
        asked = Asked(question.to_request(self.request_ids.next(), self.seed), arrival.came)
        most = most_items(served.release, asked.request)
        if is_too_long(question.k, most):
            return _too_many(most)
        await self._check_known(served, asked)
        level = self.level(arrival)
        if level is ServiceLevel.NOTHING:
            return self.refused()
        try:
            if level is ServiceLevel.POPULAR:
                shown = await self._popular(served, asked)
            else:
                shown = await self.queue.answer(arrival.is_gone, served, asked, arrival.waited_ms())
        except ClientGone:
            self.metrics.unanswered.labels("client_gone").inc()
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        self.slates.note_sent(shown)
        return JsonAnswer(shown.body)

    async def _check_known(self, served: Served, asked: Asked) -> None:
        """Refuse what the release does not know; a filter that was not met lately is compiled for it."""
        if asked.request.filter is None:
            check_known(served.release, asked.request)
        else:
            await anyio.to_thread.run_sync(check_known, served.release, asked.request, limiter=self.filters_thread)

    async def _popular(self, served: Served, asked: Asked) -> Shown:
        """At once; through a filter not in the loop, for it may be made for the first time."""
        if popular_filter(served.release, asked.request) is None:
            return self.slates.popular(served, asked)
        return await anyio.to_thread.run_sync(self.slates.popular, served, asked, limiter=self.filters_thread)

    async def take_events(self, sent: SentEvents) -> Response:
        """Take what people did: into the log, and what they wanted also to where the next request sees it.

        Answered with 202, they are in Redis or in a file that outlives this process. An item that no release knows may
        be new today: its events are taken, and the answer names it. An event whose `event_id` was taken before is
        counted in `duplicates`, and nothing is done again.
        """
        return await anyio.to_thread.run_sync(self._take_events, sent, limiter=self.event_threads)

    def _take_events(self, sent: SentEvents) -> Response:
        lineup = self.live.current
        if lineup is None:
            return self._not_ready()
        batch = sent.events if isinstance(sent, EventBatch) else [sent]
        now, wall_now = lineup.production.clock.now(), self.wall.now()
        moments = [moment_by_clock(event.event_ts, now, wall_now) for event in batch]
        done = [(event, moment) for event, moment in zip(batch, moments, strict=True) if moment is not None]
        if len(done) < len(batch):
            return self._from_the_future(now, wall_now)
        unknown = self._note_unknown(lineup, batch)
        try:
            new = self.log.keep(events(done))
        except StoreUnavailable as error:
            return JsonAnswer(error_fields(error), 503, {"Retry-After": str(COME_AGAIN_S)})
        fresh = [one for one, is_new in zip(done, new, strict=True) if is_new]
        degraded = self._append(fresh)
        for event, _ in fresh:
            self.metrics.events.labels(event.event_type).inc()
        return JsonAnswer(
            {
                "accepted": len(batch),
                "duplicates": len(batch) - len(fresh),
                "degraded": degraded,
                "unknown_items": unknown,
                "clock": self.clock,
                "now": now,
            },
            202,
        )

    async def healthz(self) -> Response:
        """Whether the process is alive; it says nothing of what is served."""
        return JsonAnswer({"status": "ok"})

    async def readyz(self) -> Response:
        """Whether a release is served whose golden queries were answered, and which; 503 with the reason until then."""
        state = self.live.state
        if state.lineup is None:
            return self._not_ready()
        production, lacking = state.lineup.production, self.live.stock.problems(state.lineup).get(Arm.PRODUCTION)
        problem = state.problems.get(Arm.PRODUCTION, lacking)
        return JsonAnswer(
            {
                "ready": True,
                "release_id": production.release_id,
                "generation_id": production.generation_id,
                "epoch": state.lineup.pointer.epoch,
                "clock": self.clock,
                "now": production.clock.now(),
                "degraded": [
                    *([] if production.online else [ONLINE_STORE]),
                    *production.missing,
                    *([] if lacking is None else [VALUES]),
                ],
                "problem": None if problem is None else error_fields(problem),
                "staged": _beside(state, Arm.STAGING, state.targets.staged),
                "canary": _beside(state, Arm.CANARY, state.targets.canary),
            }
        )

    async def prometheus(self) -> Response:
        """The metrics in Prometheus' text format."""
        text = await anyio.to_thread.run_sync(self.metrics.text, limiter=self.metrics_thread)
        return Response(text, media_type=METRICS_TYPE)

    def _not_ready(self) -> Response:
        return JsonAnswer(error_fields(self.live.problem or STARTING), 503)

    def _note_unknown(self, lineup: Lineup, batch: Sequence[SentEvent]) -> list[str]:
        """The items that nothing served knows, counted."""
        item_ids = [event.item_id for event in batch if event.item_id is not None]
        unknown = unknown_items([served.release for served in lineup], item_ids)
        if unknown:
            self.metrics.unknown_items.inc(sum(item_id in unknown for item_id in item_ids))
        return unknown

    def _append(self, done: Sequence[tuple[SentEvent, datetime]]) -> list[str]:
        """Append to sessions and people's recent events what the next request reads; names what Redis does not take."""
        told = [
            _recent_event(event, ItemId(event.item_id), moment)
            for event, moment in done
            if event.event_type in EVENT_CODES and event.item_id is not None
        ]
        try:
            self.production.append_events(told)
        except StoreError:
            lists = {
                SESSIONS: any(event.session_id is not None for event in told),
                RECENT_EVENTS: any(event.user_id is not None for event in told),
            }
            missed = [name for name, concerned in lists.items() if concerned]
            for name in missed:
                self.metrics.degraded.labels(name, Arm.PRODUCTION).inc()
            return missed
        return []

    def _from_the_future(self, now: datetime, wall_now: datetime) -> Response:
        message = f"An `event_ts` is later than the server's now, {wall_now.isoformat(timespec='seconds')}"
        if self.clock == "release":
            message += f" ({now.isoformat(timespec='seconds')} by its release's clock)"
        return error_answer(422, "WrongInput", f"{message}.", "Mend the sender's clock, or leave `event_ts` out.")


def _recent_event(event: SentEvent, item_id: ItemId, moment: datetime) -> RecentEvent:
    return RecentEvent(
        EventType(event.event_type),
        item_id,
        epoch_microseconds(moment),
        math.nan if event.value is None else event.value,
        None if event.user_id is None else UserId(event.user_id),
        None if event.session_id is None else SessionId(event.session_id),
    )


def _beside(state: LiveState, arm: Arm, named: Staged | Canary | None) -> dict[str, Any] | None:
    """What the store names beside production, and whether it answers here."""
    if named is None or state.lineup is None:
        return None
    problem = state.problems.get(arm)
    return {
        "release_id": named.release_id,
        "generation_id": named.generation_id,
        "ready": state.lineup.arm(arm) is not None,
        "problem": None if problem is None else error_fields(problem),
        **({"share": named.share} if isinstance(named, Canary) else {}),
    }


def _staging_is_off() -> Response:
    message = "This server does not answer with the release in Staging."
    next_step = "Set `serving.staging_header: true` in params.yaml and start it again, or leave X-Slate-Stage out."
    return error_answer(403, "StagingNotServed", message, next_step)


def _nothing_staged(state: LiveState) -> Response:
    problem, named = state.problems.get(Arm.STAGING), state.targets.staged
    if problem is not None:
        return JsonAnswer(error_fields(problem), 503)
    if named is not None:
        return error_answer(503, "NotReady", f"Release {named.release_id} is being loaded.", "Ask again in a moment.")
    return error_answer(
        409, "NothingStaged", "No release is in Staging.", "Put one there: `slate promote VERSION --stage Staging`."
    )


def _too_many(most: int) -> Response:
    return error_answer(422, "WrongInput", f"`k` is larger than {most}.", f"Ask for at most {most} items at once.")


@lru_cache(maxsize=1)
def _come_again(max_wait_ms: float) -> Response:
    message = f"More is asked than this server answers: nothing was done for this request in {max_wait_ms:g} ms."
    next_step = f"Ask again after {COME_AGAIN_S} s. Whoever runs this: more workers, or more machines."
    return error_answer(429, "TooManyRequests", message, next_step, {"Retry-After": str(COME_AGAIN_S)})
