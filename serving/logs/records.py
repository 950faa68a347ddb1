"""The records of the event log: one for each item shown, one for each thing done."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from contracts.events import EventType
from contracts.slates import RecommendRequest, Slate
from serving.served import Arm
from serving.wire import SentEvent


def impressions(request: RecommendRequest, slate: Slate, arm: Arm, shown_at: datetime) -> list[dict[str, Any]]:
    """One impression for each position of the slate."""
    common = {
        "event_type": EventType.IMPRESSION,
        "event_ts": shown_at.isoformat(),
        "request_id": slate.request_id,
        "user_id": request.user_id,
        "session_id": request.session_id,
        "surface": request.surface,
        "policy_id": slate.policy_id,
        "release_id": slate.release_id,
        "generation_id": slate.generation_id,
        "arm": arm,
        "tier": slate.tier,
        "degraded": slate.degraded,
    }
    return [
        {
            **common,
            "event_id": f"{slate.request_id}:{item.position}",
            "item_id": item.item_id,
            "position": item.position,
            "propensity": item.propensity,
        }
        for item in slate.items
    ]


def events(sent: Sequence[SentEvent], received_at: datetime) -> list[dict[str, Any]]:
    """One record for each event, stamped with the time received where it brought none."""
    return [
        {
            "event_type": event.event_type,
            "event_ts": when(event, received_at).isoformat(),
            "request_id": event.request_id,
            "user_id": event.user_id,
            "session_id": event.session_id,
            "item_id": event.item_id,
            "value": event.value,
            "event_id": uuid.uuid4().hex,
        }
        for event in sent
    ]


def when(event: SentEvent, received_at: datetime) -> datetime:
    """When it happened, UTC."""
    return received_at if event.event_ts is None else event.event_ts.astimezone(UTC)
