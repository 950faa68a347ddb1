from contextlib import closing
from datetime import UTC, datetime

import orjson
import pytest

from contracts.errors import StoreUnavailable
from feature_store.online.connection import connect
from feature_store.online.event_stream import id_from, latest_records, read_stream
from feature_store.online.keys import events_key
from release.canary.sums import PRODUCTION as PRODUCTION_ARM
from release.canary.sums import CanarySums
from serving.logs.records import events
from serving.wire import SentEvent
from tests.canary_worlds import CANARY, PRODUCTION, impression, run_of, settled_ms

APP = "movies"
KEY = events_key(APP)


@pytest.fixture
def client(redis_url):
    with closing(connect(redis_url)) as client:
        yield client


def write(client, *ids):
    for number, entry_id in enumerate(ids):
        client.xadd(KEY, {"record": str(number)}, id=entry_id)


def read(client, after=None, until_ms=10_000, batch_length=2):
    return list(read_stream(client, KEY, after or id_from(1), until_ms, batch_length))


def test_batches_hold_every_entry_once_in_order_with_its_time(client):
    write(client, "5-0", "5-1", "5-2", "7-0", "8-0")
    batches = read(client)
    assert [batch.records for batch in batches] == [(b"0", b"1"), (b"2", b"3"), (b"4",)]
    assert [batch.ms for batch in batches] == [(5, 5), (5, 7), (8,)]


def test_reading_goes_on_behind_the_last_entry(client):
    write(client, "5-0", "5-1")
    last = read(client)[-1].last_id
    assert read(client, last) == []
    client.xadd(KEY, {"record": "more"}, id="5-2")
    assert [batch.records for batch in read(client, last)] == [(b"more",)]


def test_bounds_are_milliseconds_and_both_count(client):
    write(client, "4-9", "5-0", "6-3", "7-0")
    (batch,) = read(client, id_from(5), until_ms=6)
    assert batch.ms == (5, 6)


def test_an_entry_of_another_kind_is_a_record_of_no_bytes(client):
    client.xadd(KEY, {"something": "else"}, id="5-0")
    assert read(client)[0].records == (b"",)


def test_without_a_stream_there_is_nothing(client):
    assert read(client) == []
    assert latest_records(client, KEY, 3) == []


def test_the_latest_are_returned_oldest_first(client):
    write(client, "5-0", "6-0", "7-0")
    client.xadd(KEY, {"something": "else"}, id="8-0")
    assert latest_records(client, KEY, 3) == [b"1", b"2"]


def test_a_store_that_went_away_is_an_error_of_ours(client, monkeypatch):
    client.close()
    client.connection_pool.connection_kwargs["port"] = 1
    with pytest.raises(StoreUnavailable):
        read(client)


def test_what_the_server_writes_is_what_is_read():
    moment = datetime(1998, 4, 22, tzinfo=UTC)
    (clicked,) = events([(SentEvent(event_type="click", user_id="ann", item_id="i1", request_id="a"), moment)])
    sums = CanarySums(run_of(CANARY.share))
    sums.add([settled_ms()] * 2, [impression("a", release_id=PRODUCTION), orjson.dumps(clicked)])
    assert sums.cells().arm.tolist() == [PRODUCTION_ARM]
    assert sums.cells().counts["clicks"].tolist() == [1]
