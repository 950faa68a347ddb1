"""What the request log tells of an answer, so that it can be given again, byte for byte.

The field `answered` of a record of the request log (docs/formats/redis.md):

    {"now", "release_id", "generation_id", "degraded", "session": events, "recent": events, "answer"}

events: [item number, epoch microseconds, event type's number, value or null] each, in the order read. answer: the
fingerprint of the slate without its timings. A person's row and history, and the rows of items, are those of the
generation, which is kept; the draws of exploration follow from the request. Servers of before wrote no `answered`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np

from contracts.errors import ArtefactError
from contracts.features import RecentEvents
from contracts.fingerprint import fingerprint_json
from contracts.slates import RecommendRequest, Slate


class Moment(NamedTuple):
    """What an answer stood on beside its release and generation: when it was, and what was done just before."""

    now: datetime
    session: RecentEvents
    recent: RecentEvents


@dataclass(frozen=True)
class LoggedAnswer:
    """A request, and what was answered. fingerprint: of the slate (`slate_fingerprint`)."""

    request: RecommendRequest
    arm: str
    release_id: str
    generation_id: str
    degraded: tuple[str, ...]
    moment: Moment
    fingerprint: str


def answered_fields(slate: Slate, moment: Moment) -> dict[str, Any]:
    """The field `answered` of a record."""
    return {
        "now": moment.now.isoformat(),
        "release_id": slate.release_id,
        "generation_id": slate.generation_id,
        "degraded": slate.degraded,
        "session": _told_events(moment.session),
        "recent": _told_events(moment.recent),
        "answer": slate_fingerprint(slate),
    }


def parse_answer(record: bytes) -> LoggedAnswer | None:
    """The answer of a record of the request log, None where a server of before wrote it.

    Raises ArtefactError naming what is none of ours.
    """
    try:
        content = json.loads(record)
        if "answered" not in content:
            return None
        told = content["answered"]
        return LoggedAnswer(
            RecommendRequest.from_json(content["request"]),
            str(content["arm"]),
            str(told["release_id"]),
            str(told["generation_id"]),
            tuple(str(missing) for missing in told["degraded"]),
            Moment(_zoned(told["now"]), _events(told["session"]), _events(told["recent"])),
            str(told["answer"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ArtefactError(
            f"The request log holds {record[:200]!r}, which is no request of this Slatework: {error!r}.",
            "Servers of another version wrote it: remove the log with `redis-cli del`, and let it fill again.",
        ) from error


def slate_fingerprint(slate: Slate) -> str:
    """Of all that is answered, but for the time it took."""
    return fingerprint_json(asdict(replace(slate, timings_ms={})))


def _zoned(text: str) -> datetime:
    now = datetime.fromisoformat(text)
    if now.tzinfo is None:
        raise ValueError(f"now is {text!r}, which has no time zone")
    return now


def _told_events(events: RecentEvents) -> list[list[float | int | None]]:
    values = [None if np.isnan(value) else value for value in events.values.tolist()]
    columns = (events.item_idx.tolist(), events.event_us.tolist(), events.event_types.tolist(), values)
    return [list(event) for event in zip(*columns, strict=True)]


def _events(told: Sequence[Sequence[Any]]) -> RecentEvents:
    if not told:
        return RecentEvents.empty()
    item_idx, event_us, event_types, values = zip(*told, strict=True)
    return RecentEvents(
        np.array(item_idx, np.int32),
        np.array(event_us, np.int64),
        np.array(event_types, np.uint8),
        np.array([np.nan if value is None else value for value in values], np.float32),
    )
