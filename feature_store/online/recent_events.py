"""What was done lately, before it is in anybody's history: of a session, and of a person in any session.

Two Redis lists, oldest first, each bounded in length and in time. They outlive releases, so their events hold external
item ids. One event is packed, little-endian (16 bytes, then the id):

    0   2  magic: b"SE"
    2   1  format version: 2 (version 1 lay in a key of its own, without magic, version and type)
    3   1  the event's type (see `contracts.events.EVENT_CODES`)
    4   8  i64: when it was done, epoch microseconds
    12  4  f32: its value, NaN where none
    16     the item id in UTF-8

Redis itself forgets a list, by the time on its wall.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import redis

from contracts.events import EVENT_CODES, EVENT_TYPE_OF, EventType
from contracts.features import RecentEvents
from contracts.id_map import UNKNOWN, IdMap
from contracts.ids import ItemId, ItemIdxArray, SessionId, UserId
from feature_store.online.connection import mapped_errors
from feature_store.online.keys import recent_key, session_key

_HEAD = struct.Struct("<2sBBqf")
_MAGIC, _VERSION = b"SE", 2
_BEGINNING = _MAGIC + bytes([_VERSION])
_HEAD_TYPE = np.dtype([("beginning", "V3"), ("event_type", "u1"), ("event_us", "<i8"), ("value", "<f4")])


@dataclass(frozen=True)
class RecentEvent:
    """One event that says somebody wanted an item or brought it back, and whose it is: a person's, a session's or both.

    event_us: epoch microseconds; value: NaN where it has none.
    """

    event_type: EventType
    item_id: ItemId
    event_us: int
    value: float
    user_id: UserId | None = None
    session_id: SessionId | None = None


@dataclass(frozen=True)
class Retention:
    """How much of a list is kept: the latest `length` events, until `ttl_s` seconds after the last one came."""

    length: int
    ttl_s: int


def append_events(
    client: redis.Redis, app: str, events: Iterable[RecentEvent], *, session: Retention, recent: Retention
) -> None:
    """Add events to their sessions and to what their people did of late, all or none, in one round trip."""
    lists: defaultdict[tuple[str, Retention], list[bytes]] = defaultdict(list)
    for event in events:
        if event.session_id is not None:
            lists[session_key(app, event.session_id), session].append(pack_event(event))
        if event.user_id is not None:
            lists[recent_key(app, event.user_id), recent].append(pack_event(event))
    if not lists:
        return
    with mapped_errors(), client.pipeline(transaction=True) as pipeline:
        for (key, retention), packed in lists.items():
            pipeline.rpush(key, *packed)
            pipeline.ltrim(key, -retention.length, -1)
            pipeline.expire(key, retention.ttl_s)
        pipeline.execute()


def read_recent(client: redis.Redis, app: str, user_ids: Sequence[str], item_ids: IdMap) -> dict[str, RecentEvents]:
    """What each of these people did of late, in one round trip; people who did nothing are left out.

    Raises StoreError when the store can't be read.
    """
    with mapped_errors(), client.pipeline(transaction=False) as pipeline:
        for user_id in user_ids:
            pipeline.lrange(recent_key(app, UserId(user_id)), 0, -1)
        lists = pipeline.execute()
    return {user_id: unpack_events(packed, item_ids) for user_id, packed in zip(user_ids, lists, strict=True) if packed}


def pack_event(event: RecentEvent) -> bytes:
    """The event as both lists hold it, byte for byte."""
    head = _HEAD.pack(_MAGIC, _VERSION, EVENT_CODES[event.event_type], event.event_us, event.value)
    return head + event.item_id.encode()


def unpack_events(packed: Iterable[bytes], item_ids: IdMap) -> RecentEvents:
    """The events in their order, each once however often it was sent.

    What is packed in another way is left out, and so is an event of a type that has no code here: a list lives hours,
    and a server of another version may write beside us.
    """
    ours = [event for event in dict.fromkeys(packed) if _is_ours(event)]
    if not ours:
        return RecentEvents.empty()
    heads = np.frombuffer(b"".join(event[: _HEAD.size] for event in ours), _HEAD_TYPE)
    return RecentEvents(
        _item_numbers([event[_HEAD.size :].decode(errors="replace") for event in ours], item_ids),
        heads["event_us"].astype(np.int64),
        heads["event_type"].astype(np.uint8),
        heads["value"].astype(np.float32),
    )


def _item_numbers(names: Sequence[str], item_ids: IdMap) -> ItemIdxArray:
    """The items' dense ids, and for those that are not known -1, -2, ... by item: a return must find its purchase."""
    item_idx = item_ids.indices(names)
    unknown: dict[str, int] = {}
    for at in np.flatnonzero(item_idx == UNKNOWN).tolist():
        item_idx[at] = UNKNOWN - unknown.setdefault(names[at], len(unknown))
    return item_idx


def _is_ours(event: bytes) -> bool:
    return event.startswith(_BEGINNING) and len(event) > _HEAD.size and event[len(_BEGINNING)] in EVENT_TYPE_OF
