"""Writing records into an application's event stream: each is written and counted in one step with the look whether an
event of its id was written before.

    slate:{<app>}:e:<event_id>    an event that its sender named, for as long as it is remembered; expires
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import redis

from feature_store.online.connection import mapped_errors
from feature_store.online.keys import event_id_key, events_key, events_written_key

# KEYS: stream, counter, then of each record the key of its event's id (the stream's where it has none).
# ARGV: entries to keep, seconds to remember an id, then the records.
# Gives 1 or 0 for each record: whether it was written, or its event was there before. An id is taken back where the
# stream refuses its record: who sends it again must not be told that it is there.
_WRITE = """
local written, outcomes = 0, {}
for at = 3, #KEYS do
    local named, record = KEYS[at] ~= KEYS[1], ARGV[at]
    if named and not redis.call('SET', KEYS[at], '', 'NX', 'EX', ARGV[2]) then
        outcomes[at - 2] = 0
    else
        local entry = redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'record', record)
        if type(entry) == 'table' and entry['err'] then
            if named then redis.call('DEL', KEYS[at]) end
            return entry
        end
        written = written + 1
        outcomes[at - 2] = 1
    end
end
redis.call('INCRBY', KEYS[2], written)
return outcomes
"""


@dataclass(frozen=True)
class StreamRecord:
    """One record, JSON. event_id: what its sender named the event, None where they did not."""

    content: bytes
    event_id: str | None = None


def write_records(
    client: redis.Redis, app: str, records: Sequence[StreamRecord], *, max_length: int, remembered_s: int
) -> list[bool]:
    """Which records were written, in their order; the others are of events that were there before.

    max_length: about how many entries are kept. remembered_s: how long an event's id is. Raises StoreError.
    """
    if not records:
        return []
    stream = events_key(app)
    ids = [stream if record.event_id is None else event_id_key(app, record.event_id) for record in records]
    keys = [stream, events_written_key(app), *ids]
    with mapped_errors():
        outcomes = client.eval(
            _WRITE, len(keys), *keys, max_length, remembered_s, *(record.content for record in records)
        )
    return [bool(outcome) for outcome in cast("list[int]", outcomes)]
