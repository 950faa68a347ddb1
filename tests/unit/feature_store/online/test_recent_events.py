from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import redis

from contracts.events import EVENT_CODES, POSITIVE_EVENTS, UNSPECIFIED_TYPE, EventType
from contracts.features import RecentEvents
from contracts.id_map import UNKNOWN, IdMap
from contracts.ids import ItemId, SessionId, UserId
from feature_store.online.connection import connect
from feature_store.online.keys import recent_key, session_key
from feature_store.online.recent_events import RecentEvent, Retention, append_events, pack_event, unpack_events

APP, SESSION, USER = "movies", SessionId("s1"), UserId("u1")
IDS = IdMap.of(["i7", "i8", "ü9"])
HOUR = Retention(length=20, ttl_s=3600)


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url) as client:
        yield client


def event(item_id: str, event_us: int, **other: Any) -> RecentEvent:
    told: dict[str, Any] = {"event_type": EventType.CLICK, "value": float("nan"), **other}
    return RecentEvent(item_id=ItemId(item_id), event_us=event_us, **told)


def clicked(*events: tuple[str, int], **whose: Any) -> list[RecentEvent]:
    return [event(item_id, event_us, **(whose or {"session_id": SESSION})) for item_id, event_us in events]


def append(client: redis.Redis, *events: RecentEvent, session: Retention = HOUR, recent: Retention = HOUR) -> None:
    append_events(client, APP, events, session=session, recent=recent)


def read(client: redis.Redis, key: str = session_key(APP, SESSION)) -> RecentEvents:
    return unpack_events(client.lrange(key, 0, -1), IDS)


def test_events_are_read_as_they_were_added_in_their_order(client):
    append(
        client,
        event("i8", 1_000_001, event_type=EventType.RATING, value=1.5, session_id=SESSION),
        event("ü9", 2_000_002, session_id=SESSION),
    )
    append(client, event("i7", 500_000, event_type=EventType.PURCHASE, value=2.0, session_id=SESSION))
    session = read(client)
    assert IDS.external(session.item_idx) == ["i8", "ü9", "i7"]
    assert session.event_us.tolist() == [1_000_001, 2_000_002, 500_000]
    assert session.event_ts.tolist() == [1, 2, 0]
    assert session.event_types.tolist() == [
        EVENT_CODES[kind] for kind in (EventType.RATING, EventType.CLICK, EventType.PURCHASE)
    ]
    np.testing.assert_array_equal(session.values, np.array([1.5, np.nan, 2.0], dtype=np.float32))


def test_an_event_goes_to_its_session_to_its_person_or_to_both(client):
    append(
        client,
        event("i7", 1, session_id=SESSION),
        event("i8", 2, user_id=USER),
        event("ü9", 3, session_id=SESSION, user_id=USER),
    )
    assert read(client).event_us.tolist() == [1, 3]
    assert read(client, recent_key(APP, USER)).event_us.tolist() == [2, 3]
    assert client.lrange(session_key(APP, SESSION), -1, -1) == client.lrange(recent_key(APP, USER), -1, -1)


def test_all_of_a_batch_is_appended_in_one_round_trip(client):
    before = client.info("stats")["total_reads_processed"]
    append(client, *(event("i7", second, session_id=f"s{second}", user_id=f"u{second}") for second in range(5)))
    # One read for our round trip, and one for asking how many there were.
    assert client.info("stats")["total_reads_processed"] - before == 2
    assert client.dbsize() == 2 * 5


def test_only_the_latest_events_are_kept_of_each_by_its_own_bounds(client):
    for second in range(10):
        append(
            client,
            event("i7", second, session_id=SESSION, user_id=USER),
            session=Retention(3, 60),
            recent=Retention(5, 60),
        )
    assert read(client).event_us.tolist() == [7, 8, 9]
    assert read(client, recent_key(APP, USER)).event_us.tolist() == [5, 6, 7, 8, 9]


def test_items_that_the_release_does_not_know_are_told_apart_and_are_none_of_its_own(client):
    append(client, *clicked(("new", 1), ("i7", 2), ("newer", 3), ("new", 4)))
    assert read(client).item_idx.tolist() == [UNKNOWN, IDS.index(ItemId("i7")), UNKNOWN - 1, UNKNOWN]


def test_an_item_that_the_release_does_not_know_is_unknown_and_keeps_its_place(client):
    append(client, *clicked(("gone", 1), ("i7", 2)))
    assert read(client).item_idx.tolist() == [UNKNOWN, IDS.index(ItemId("i7"))]


def test_the_same_event_sent_twice_counts_once_and_another_of_the_same_moment_counts(client):
    append(client, *clicked(("i7", 1), ("i7", 1), ("gone", 1), ("lost", 1)))
    append(client, event("i7", 1, event_type=EventType.VIEW, session_id=SESSION))
    assert len(read(client)) == 4


def test_a_list_is_forgotten_after_its_ttl_which_each_event_renews(client):
    append(
        client, event("i7", 1, session_id=SESSION, user_id=USER), session=Retention(5, 600), recent=Retention(5, 900)
    )
    assert 0 < client.ttl(session_key(APP, SESSION)) <= 600 < client.ttl(recent_key(APP, USER)) <= 900
    append(client, event("i7", 2, session_id=SESSION), session=Retention(5, 1200))
    assert 600 < client.ttl(session_key(APP, SESSION)) <= 1200


def test_no_events_make_no_list(client):
    append(client)
    assert client.dbsize() == 0
    assert len(unpack_events([], IDS)) == 0


@pytest.mark.parametrize(
    "foreign",
    [
        struct.pack("<qf", 1_600_000_000, 5.0) + b"i7",  # the packing of version 1
        pack_event(event("i7", 1))[:16],
        b"SE\x03" + pack_event(event("i7", 1))[3:],
        b"SE\x02\x0f" + pack_event(event("i7", 1))[4:],
        b"SE",
        b"",
    ],
    ids=["version 1", "no item", "a later version", "a type of a later version", "torn", "empty"],
)
def test_what_another_version_packed_is_left_out_and_breaks_no_reader(foreign):
    events = unpack_events([foreign, pack_event(event("i8", 2))], IDS)
    assert IDS.external(events.item_idx) == ["i8"]


def test_the_bytes_of_an_event_are_those_that_the_format_says():
    packed = pack_event(event("ü9", 258, event_type=EventType.PURCHASE, value=1.5))
    assert packed == b"SE\x02\x04" + b"\x02\x01\0\0\0\0\0\0" + b"\x00\x00\xc0\x3f" + "ü9".encode()


def test_every_event_that_is_kept_has_a_code_of_its_own():
    assert set(EVENT_CODES) == POSITIVE_EVENTS | {EventType.RETURN}
    assert len({*EVENT_CODES.values(), UNSPECIFIED_TYPE}) == len(EVENT_CODES) + 1
