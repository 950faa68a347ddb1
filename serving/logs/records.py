"""The records of the event log: one for each slate shown, one for each thing done."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from contracts.filters import filter_text
from contracts.logged_slates import slate_record
from contracts.slates import RecommendRequest, Slate
from serving.logs.event_log import SENT
from serving.served import Arm
from serving.wire import SentEvent


def shown(request: RecommendRequest, slate: Slate, arm: Arm, shown_at: datetime) -> dict[str, Any]:
    """One record for all items of the slate; with the filter and the placement that it was shown under, where named."""
    common: dict[str, Any] = {
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
    if request.filter is not None:
        common["filter"] = filter_text(request.filter)
    if request.placement is not None:
        common["placement"] = request.placement
    return slate_record(common, [item.item_id for item in slate.items], [item.propensity for item in slate.items])


def events(done: Sequence[tuple[SentEvent, datetime]]) -> list[dict[str, Any]]:
    """One record for each event, with when it was, UTC."""
    return [
        {
            "event_type": event.event_type,
            "event_ts": moment.isoformat(),
            "request_id": event.request_id,
            "user_id": event.user_id,
            "session_id": event.session_id,
            "item_id": event.item_id,
            "value": event.value,
            "event_id": uuid.uuid4().hex if event.event_id is None else f"{SENT}{event.event_id}",
        }
        for event, moment in done
    ]
