"""What somebody did in this session, before it is in anybody's history.

One Redis list per session, oldest first, bounded in length and in time. A session outlives releases, so its events
hold external item ids. One event is packed, little-endian: i64 event time (epoch seconds), f32 value (NaN where none),
then the item id in UTF-8. Redis itself forgets a session, by the time on its wall.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

import numpy as np
import redis

from contracts.features import History
from contracts.id_map import UNKNOWN, IdMap
from contracts.ids import ItemId, SessionId
from feature_store.connection import mapped_errors
from feature_store.keys import session_key

SessionEvent = tuple[ItemId, int, float]

_EVENT_HEAD = struct.Struct("<qf")


def append_session_events(
    client: redis.Redis,
    app: str,
    session_id: SessionId,
    events: Iterable[SessionEvent],
    *,
    length: int,
    ttl_minutes: int,
) -> None:
    """Add (item_id, epoch seconds, value) to a session, all or none; keeps the latest `length`, forgets after the TTL.

    value: NaN where the event has none.
    """
    packed = [_EVENT_HEAD.pack(event_ts, value) + item_id.encode() for item_id, event_ts, value in events]
    if not packed:
        return
    key = session_key(app, session_id)
    with mapped_errors(), client.pipeline(transaction=True) as pipeline:
        pipeline.rpush(key, *packed)
        pipeline.ltrim(key, -length, -1)
        pipeline.expire(key, ttl_minutes * 60)
        pipeline.execute()


def unpack_session(packed: Iterable[bytes], item_ids: IdMap) -> History:
    """The events whose items the release knows, oldest first."""
    heads = [(_EVENT_HEAD.unpack_from(event), event[_EVENT_HEAD.size :].decode()) for event in packed]
    item_idx = item_ids.indices(item_id for _, item_id in heads)
    known = item_idx != UNKNOWN
    event_ts = np.array([event_ts for (event_ts, _), _ in heads], dtype=np.int64)
    values = np.array([value for (_, value), _ in heads], dtype=np.float32)
    return History(item_idx[known], event_ts[known], values[known])
