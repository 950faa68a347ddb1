from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from contracts.events import EVENT_CODES, EventType
from contracts.tables import INTERACTIONS_SCHEMA
from feature_store.offline.offline_store import histories_as_of

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_events_of_one_moment_stand_by_item_and_then_by_type():
    told = [("i2", "click", 1.0), ("i1", "view", 2.0), ("i1", "purchase", 3.0)]
    rows = [
        {"user_id": "u", "item_id": item_id, "event_type": kind, "event_ts": NOON, "value": value}
        for item_id, kind, value in told
    ]
    history = histories_as_of(pl.DataFrame(rows, schema=INTERACTIONS_SCHEMA), NOON + timedelta(seconds=1), 10)
    assert history["values"].to_list() == [[3.0, 2.0, 1.0]]
    codes = [EVENT_CODES[kind] for kind in (EventType.PURCHASE, EventType.VIEW, EventType.CLICK)]
    assert history["event_types"].to_list() == [codes]
