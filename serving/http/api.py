"""What each route does: take the lineup once, make one call, answer."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import Header
from starlette.responses import Response

from contracts.calendar import epoch_microseconds
from contracts.errors import StoreError
from contracts.events import POSITIVE_EVENTS, EventType
from contracts.ids import ItemId, SessionId, UserId
from contracts.slates import RecommendRequest, Slate
from feature_store.online.recent_events import RecentEvent
from feature_store.online.serving_targets import Canary, Staged
from serving.http.answers import JsonAnswer, error_answer, error_fields
from serving.known_ids import check_known, unknown_items
from serving.live.live_release import LiveRelease
from serving.live.live_state import LiveState
from serving.live.next_lineup import STARTING
from serving.live.production import Production
from serving.logs.event_log import EventLog
from serving.logs.records import events, impressions, when
from serving.metrics import Metrics
from serving.served import Arm, Lineup, Served
from serving.wire import EventBatch, Question, SentEvent, SentEvents

CLOCK_SKEW = timedelta(minutes=5)  # clients' clocks run ahead by seconds, broken ones by hours
# What an event could not be appended to, as the answer's `degraded` names it.
SESSIONS = "sessions"
RECENT_EVENTS = "recent_events"
STAGE_HEADER = Header(alias="X-Slate-Stage", description="`staging` asks for the release in Staging, if that is on.")
METRICS_TYPE = "text/plain; version=1.0.0; charset=utf-8"


@dataclass(frozen=True)
class Api:
    """The routes' functions.

    seed: of exploration, the same for every request of this server; staging: whether a request may ask for Staging.
    """

    live: LiveRelease
    production: Production
    log: EventLog
    metrics: Metrics
    seed: int
    staging: bool

    def recommend(
        self, question: Question, stage: Annotated[Literal["staging"] | None, STAGE_HEADER] = None
    ) -> Response:
        """A slate for a person, a session or a newcomer, by the release in production, or the one this person gets."""
        state = self.live.state
        if state.lineup is None:
            return self._not_ready()
        if stage is None:
            return self._answer(question, state.lineup.for_person(question.user_id or question.session_id))
        if not self.staging:
            return _staging_is_off()
        if state.lineup.staged is None:
            return _nothing_staged(state)
        return self._answer(question, state.lineup.staged)

    def _answer(self, question: Question, served: Served) -> Response:
        if question.k > served.release.request.max_k:
            return _too_many(served)
        request = question.to_request(uuid.uuid4().hex, self.seed)
        check_known(served.release, request)
        slate = self._slate(served, request)
        self.metrics.slate_answered(slate, served.arm)
        now = served.clock.now()
        self.log.requests.append(request, served.arm, now)
        self.log.append(impressions(request, slate, served.arm, now))
        return JsonAnswer({**vars(slate), "arm": served.arm})

    def _slate(self, served: Served, request: RecommendRequest) -> Slate:
        """The answer; of some, the values they stand on are logged beside it."""
        if not self.log.values.wants(request.request_id):
            return served.answer(request)
        slate, values = served.answer_with_values(request)
        if values is not None:
            self.log.values.append(values, served.arm)
        return slate

    def take_events(self, sent: SentEvents) -> Response:
        """Take what people did: into the log, and what they wanted also to where the next request sees it.

        An item that no release knows may be new today: its events are taken, and the answer names it.
        """
        lineup = self.live.current
        if lineup is None:
            return self._not_ready()
        batch = sent.events if isinstance(sent, EventBatch) else [sent]
        now = lineup.production.clock.now()
        if any(event.event_ts is not None and event.event_ts > now + CLOCK_SKEW for event in batch):
            return _from_the_future(now)
        unknown = self._note_unknown(lineup, batch)
        degraded = self._append(batch, now)
        self.log.append(events(batch, now))
        for event in batch:
            self.metrics.events.labels(event.event_type).inc()
        return JsonAnswer({"accepted": len(batch), "degraded": degraded, "unknown_items": unknown}, 202)

    async def healthz(self) -> Response:
        """Whether the process is alive; it says nothing of what is served."""
        return JsonAnswer({"status": "ok"})

    async def readyz(self) -> Response:
        """Whether a release is served whose golden queries were answered, and which; 503 with the reason until then."""
        state = self.live.state
        if state.lineup is None:
            return self._not_ready()
        production, problem = state.lineup.production, state.problems.get(Arm.PRODUCTION)
        return JsonAnswer(
            {
                "ready": True,
                "release_id": production.release_id,
                "generation_id": production.generation_id,
                "epoch": state.lineup.pointer.epoch,
                "degraded": [*([] if production.online else ["online_store"]), *production.missing],
                "problem": None if problem is None else error_fields(problem),
                "staged": _beside(state, Arm.STAGING, state.targets.staged),
                "canary": _beside(state, Arm.CANARY, state.targets.canary),
            }
        )

    def prometheus(self) -> Response:
        """The metrics in Prometheus' text format."""
        return Response(self.metrics.text(), media_type=METRICS_TYPE)

    def _not_ready(self) -> Response:
        return JsonAnswer(error_fields(self.live.problem or STARTING), 503)

    def _note_unknown(self, lineup: Lineup, batch: Sequence[SentEvent]) -> list[str]:
        """The items that nothing served knows, counted."""
        item_ids = [event.item_id for event in batch if event.item_id is not None]
        unknown = unknown_items([served.release for served in lineup], item_ids)
        if unknown:
            self.metrics.unknown_items.inc(sum(item_id in unknown for item_id in item_ids))
        return unknown

    def _append(self, batch: Sequence[SentEvent], now: datetime) -> list[str]:
        """Append positive events to sessions and people's recent events; names those that Redis could not take."""
        positive = [
            _recent_event(event, ItemId(event.item_id), now)
            for event in batch
            if event.event_type in POSITIVE_EVENTS and event.item_id is not None
        ]
        try:
            self.production.append_events(positive)
        except StoreError:
            lists = {
                SESSIONS: any(event.session_id is not None for event in positive),
                RECENT_EVENTS: any(event.user_id is not None for event in positive),
            }
            missed = [name for name, concerned in lists.items() if concerned]
            for name in missed:
                self.metrics.degraded.labels(name, Arm.PRODUCTION).inc()
            return missed
        return []


def _recent_event(event: SentEvent, item_id: ItemId, now: datetime) -> RecentEvent:
    return RecentEvent(
        EventType(event.event_type),
        item_id,
        epoch_microseconds(when(event, now)),
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


def _too_many(served: Served) -> Response:
    most = served.release.request.max_k
    return error_answer(422, "WrongInput", f"`k` is larger than {most}.", f"Ask for at most {most} items at once.")


def _from_the_future(now: datetime) -> Response:
    message = f"An `event_ts` is later than the server's now, {now.isoformat(timespec='seconds')}."
    return error_answer(422, "WrongInput", message, "Mend the sender's clock, or leave `event_ts` out.")
