from collections.abc import Iterator

import numpy as np
import pytest
import redis

from contracts.id_map import IdMap
from feature_store.connection import connect
from feature_store.keys import session_key
from feature_store.sessions import append_session_events, unpack_session

APP, SESSION = "movies", "s1"
IDS = IdMap.of(["i7", "i8", "ü9"])


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url) as client:
        yield client


def append(client: redis.Redis, *events, length: int = 20, ttl_minutes: int = 60) -> None:
    append_session_events(client, APP, SESSION, events, length=length, ttl_minutes=ttl_minutes)


def read(client: redis.Redis):
    return unpack_session(client.lrange(session_key(APP, SESSION), 0, -1), IDS)


def test_events_are_read_in_the_order_they_were_added(client):
    append(client, ("i8", 100, 1.5), ("ü9", 101, float("nan")))
    append(client, ("i7", 102, 2.0))
    session = read(client)
    assert IDS.external(session.item_idx) == ["i8", "ü9", "i7"]
    assert session.event_ts.tolist() == [100, 101, 102]
    np.testing.assert_array_equal(session.values, np.array([1.5, np.nan, 2.0], dtype=np.float32))


def test_only_the_latest_events_are_kept(client):
    for second in range(10):
        append(client, ("i7", second, 1.0), length=3)
    assert read(client).event_ts.tolist() == [7, 8, 9]


def test_an_item_that_the_release_does_not_know_is_left_out(client):
    append(client, ("gone", 1, 1.0), ("i7", 2, 1.0))
    session = read(client)
    assert IDS.external(session.item_idx) == ["i7"]
    assert session.event_ts.tolist() == [2]


def test_a_session_is_forgotten_after_its_ttl_which_each_event_renews(client):
    append(client, ("i7", 1, 1.0), ttl_minutes=10)
    assert 0 < client.ttl(session_key(APP, SESSION)) <= 10 * 60
    append(client, ("i7", 2, 1.0), ttl_minutes=20)
    assert 10 * 60 < client.ttl(session_key(APP, SESSION)) <= 20 * 60


def test_no_events_make_no_session(client):
    append(client)
    assert client.exists(session_key(APP, SESSION)) == 0
    assert len(unpack_session([], IDS)) == 0
