from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from contracts.events import EVENT_CODES, EventType
from contracts.returns import without_taken_back
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


def interactions_of_a_few(n_events: int, seed: int, *, returns: bool = False) -> pl.DataFrame:
    """People who touch the same few items again and again, in several ways."""
    rng = np.random.default_rng(seed)
    kinds = ["view", "purchase", "click", "impression", *(["return"] if returns else [])]
    rows = [
        {
            "user_id": f"u{rng.integers(4)}",
            "item_id": f"i{rng.integers(9)}",
            "event_type": kinds[rng.integers(len(kinds))],
            "event_ts": NOON + timedelta(seconds=int(rng.integers(1000))),
        }
        for _ in range(n_events)
    ]
    return pl.DataFrame(rows, schema=INTERACTIONS_SCHEMA)


@pytest.mark.parametrize("returns", [False, True])
@pytest.mark.parametrize("length", [1, 3, 10, 1000])
def test_a_history_and_what_is_older_are_all_that_somebody_touched_with_its_last_time(length: int, returns: bool):
    events, as_of = interactions_of_a_few(300, seed=length, returns=returns), NOON + timedelta(seconds=900)
    last: dict[tuple[str, str, int], int] = {}
    for row in events.sort("event_ts").iter_rows(named=True):
        if row["event_type"] not in ("impression", "return") and row["event_ts"] < as_of:
            code = EVENT_CODES[EventType(row["event_type"])]
            last[row["user_id"], row["item_id"], code] = int(row["event_ts"].timestamp())
    known: dict[tuple[str, str, int], int] = {}
    for row in histories_as_of(events, as_of, length).iter_rows(named=True):
        in_history = list(zip(row["item_ids"], row["event_types"], row["event_ts"], strict=True))
        older = list(zip(row["older_item_ids"], row["older_event_types"], row["older_event_ts"], strict=True))
        assert older == sorted(older)
        lasts = {event[:2]: event[2] for event in in_history}
        assert all(moment > lasts[item, code] for item, code, moment in older if (item, code) in lasts)
        assert returns or not {event[:2] for event in older} & set(lasts)
        assert len(in_history) <= length
        known |= {(row["user_id"], item, code): moment for item, code, moment in [*in_history, *older]}
    assert known == last


@pytest.mark.parametrize("length", [1, 3, 10, 1000])
def test_a_history_lacks_what_was_taken_back_before_and_is_the_latest_of_the_rest(length: int):
    events, as_of = interactions_of_a_few(300, seed=length, returns=True), NOON + timedelta(seconds=900)
    standing = without_taken_back(events.filter(pl.col("event_ts") < as_of))
    assert len(events.filter(pl.col("event_ts") < as_of)) - len(standing) > 30
    expected, found = (histories_as_of(rows, as_of, length) for rows in (standing, events))
    own = [name for name in found.columns if not name.startswith("older_")]
    assert found.select(own).equals(expected.select(own))


def test_of_somebody_who_brought_everything_back_an_empty_history_is_left_and_what_they_touched():
    told = [("i1", "purchase", 0), ("i1", "return", 1)]
    rows = [
        {"user_id": "u", "item_id": item_id, "event_type": kind, "event_ts": NOON + timedelta(seconds=second)}
        for item_id, kind, second in told
    ]
    [row] = histories_as_of(pl.DataFrame(rows, schema=INTERACTIONS_SCHEMA), NOON + timedelta(minutes=1), 10).iter_rows(
        named=True
    )
    assert (row["item_ids"], row["event_ts"], row["event_types"], row["values"]) == ([], [], [], [])
    assert row["older_item_ids"] == ["i1"]
    assert row["older_event_ts"] == [int(NOON.timestamp())]
    assert row["older_event_types"] == [EVENT_CODES[EventType.PURCHASE]]
