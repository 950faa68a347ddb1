"""What every feature reader promises, on tables in memory and on a real Redis; and that these two agree to the bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from contracts.errors import ReleaseMismatch, StoreError, StoreUnavailable
from contracts.events import EVENT_CODES, EventType
from contracts.features import Entity, FeatureReader, FeatureRows, FeatureSchema, FeatureSpec, Visitor
from contracts.id_map import UNKNOWN, IdMap
from contracts.ids import ItemId, SessionId, UserId
from feature_store.online.connection import connect
from feature_store.online.damage import read_damage
from feature_store.online.keys import first_format_receipt_key, histories_key, items_key, users_key
from feature_store.online.recent_events import RecentEvent, Retention, append_events
from feature_store.publishing.publishing import publish
from feature_store.readers.default_reader import DefaultFeatureReader
from feature_store.readers.offline_reader import OfflineFeatureReader
from feature_store.readers.online_reader import RedisFeatureReader
from feature_store.values.values import HISTORY_SCHEMA, FeatureSchemas, FeatureValues
from tests.unit.feature_store.worlds import AS_OF, SCHEMAS, generation, ids_of

APP = "readers"
SECOND = timedelta(seconds=1)
WRITTEN = AS_OF.replace(microsecond=0)  # what a row says of itself

ReaderOf = Callable[[FeatureValues, FeatureSchemas, IdMap], FeatureReader]


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url) as client:
        yield client


def offline(values: FeatureValues, schemas: FeatureSchemas, item_ids: IdMap) -> FeatureReader:
    return OfflineFeatureReader(values, schemas, item_ids)


@pytest.fixture
def online(client: redis.Redis) -> ReaderOf:
    return published_in(client)


@pytest.fixture
def in_cluster(cluster_url: str) -> Iterator[ReaderOf]:
    with connect(cluster_url) as client:
        yield published_in(client)


def published_in(client: redis.Redis) -> ReaderOf:
    def reader(values: FeatureValues, schemas: FeatureSchemas, item_ids: IdMap) -> FeatureReader:
        publish(client, APP, values, schemas, item_ids, "release", batch_size=7)
        return RedisFeatureReader(client, APP, values.generation_id, schemas, item_ids)

    return reader


@pytest.fixture(params=["offline", "online", "in_cluster"])
def reader_of(request: pytest.FixtureRequest) -> ReaderOf:
    return offline if request.param == "offline" else request.getfixturevalue(request.param)


@pytest.fixture
def reader(reader_of: ReaderOf) -> FeatureReader:
    return reader_of(generation(), SCHEMAS, ids_of(generation()))


class TestEveryReader:
    def test_names_the_generation_it_reads(self, reader):
        assert reader.generation_id == generation().generation_id

    def test_gives_items_in_the_order_asked_with_repeats(self, reader):
        values = generation()
        order = [values.ids(Entity.ITEM)[position] for position in (5, 0, 5, 29)]
        rows = reader.read_items(order, AS_OF)
        np.testing.assert_array_equal(rows.values, filled(values.matrix(SCHEMAS.item)[[5, 0, 5, 29]], SCHEMAS.item))
        assert rows.known.all()

    def test_gives_defaults_for_an_unknown_item_and_says_so(self, reader):
        known = generation().ids(Entity.ITEM)[3]
        rows = reader.read_items(["never heard of", known], AS_OF)
        assert rows.known.tolist() == [False, True]
        np.testing.assert_array_equal(rows.values[0], SCHEMAS.item.defaults)

    def test_gives_no_rows_for_no_items(self, reader):
        rows = reader.read_items([], AS_OF)
        assert rows.values.shape == (0, 2)
        assert rows.known.shape == (0,)

    def test_gives_float32_with_nothing_missing(self, reader):
        rows = reader.read_items(generation().ids(Entity.ITEM), AS_OF)
        assert rows.values.dtype == np.float32
        assert not np.isnan(rows.values).any()

    def test_gives_a_persons_row_and_history(self, reader):
        values = generation()
        user_id, item_ids, event_ts, event_types, ratings = values.histories.row(4)
        person = reader.read_person(user_id, None, AS_OF)
        row = values.matrix(SCHEMAS.user)[[values.ids(Entity.USER).index(user_id)]]
        np.testing.assert_array_equal(person.features.values, filled(row, SCHEMAS.user))
        assert person.features.known.tolist() == [True]
        assert ids_of(values).external(person.history.item_idx) == item_ids
        assert person.history.event_ts.tolist() == event_ts
        assert person.history.event_types.tolist() == event_types
        np.testing.assert_array_equal(person.history.values, np.array(ratings, dtype=np.float32))
        assert (len(person.session), len(person.recent)) == (0, 0)

    def test_gives_what_a_history_is_too_short_to_hold_of_whom_there_is_any(self, reader_of):
        values, ids = generation(), ids_of(generation())
        user_id, other = values.histories["user_id"][3], values.histories["user_id"][4]
        mine = pl.col("user_id") == user_id
        # Not in the order of the map, in which they are read.
        told = {"older_item_ids": ["i7", "i12", "i2"], "older_event_ts": [3, 1, 2], "older_event_types": [1, 4, 2]}
        types = {name: HISTORY_SCHEMA[name] for name in told}
        histories = values.histories.with_columns(
            pl.when(mine)
            .then(pl.lit(pl.Series([told[name]], dtype=kind).first(), kind))
            .otherwise(pl.lit([], kind))
            .alias(name)
            for name, kind in types.items()
        )
        reader = reader_of(replace(values, histories=histories), SCHEMAS, ids)
        older = reader.read_person(user_id, None, AS_OF).older
        events = sorted(zip(ids.indices(told["older_item_ids"]).tolist(), told["older_event_ts"], strict=True))
        assert list(zip(older.item_idx.tolist(), older.event_ts.tolist(), strict=True)) == events
        assert len(reader.read_person(other, None, AS_OF).older) == 0
        assert len(reader.read_person(user_id, None, AS_OF).history) == len(values.histories["item_ids"][3])

    @pytest.mark.parametrize("user_id", [None, "nobody"])
    def test_gives_defaults_and_nothing_else_for_somebody_unknown(self, reader, user_id):
        person = reader.read_person(user_id, None, AS_OF)
        assert person.features.known.tolist() == [False]
        np.testing.assert_array_equal(person.features.values, [SCHEMAS.user.defaults])
        assert (len(person.history), len(person.session), len(person.recent)) == (0, 0, 0)

    @pytest.mark.parametrize(
        ("now", "too_old"),
        [
            (WRITTEN + timedelta(days=7) - SECOND, False),
            (WRITTEN + timedelta(days=7), False),
            (WRITTEN + timedelta(days=7) + SECOND, True),
        ],
        ids=["before the TTL", "on the TTL", "past the TTL"],
    )
    def test_an_old_value_is_missing_and_takes_the_default_while_others_stay(self, reader, now, too_old):
        values = generation()
        user_ids = [user_id for user_id, week, ever in values.users.iter_rows() if None not in (week, ever)]
        for user_id in user_ids:
            stored = values.matrix(SCHEMAS.user)[values.ids(Entity.USER).index(user_id)]
            person = reader.read_person(user_id, None, now)
            week, ever = person.features.values[0]
            assert week == (SCHEMAS.user.defaults[0] if too_old else stored[0])
            assert ever == stored[1]
            assert person.features.known.all()

    @pytest.mark.parametrize(
        ("now", "too_old"),
        [
            (WRITTEN + timedelta(days=1) - timedelta(microseconds=1), False),
            (WRITTEN + timedelta(days=1), False),
            (WRITTEN + timedelta(days=1, microseconds=1), True),
        ],
        ids=["before the TTL", "on the TTL", "past the TTL"],
    )
    def test_says_what_was_missing_or_too_old_and_when_rows_were_true(self, reader, now, too_old):
        stored = np.isnan(generation().matrix(SCHEMAS.item))
        rows = reader.read_items([*generation().ids(Entity.ITEM), "never heard of"], now)
        limits = np.array([spec.ttl_days == 1 for spec in SCHEMAS.item.features])
        np.testing.assert_array_equal(rows.missing[:-1], stored | (limits & too_old))
        assert rows.missing[-1].all()
        assert rows.written.tolist() == [int(WRITTEN.timestamp())] * len(stored) + [0]
        person = reader.read_person("nobody", None, now)
        assert (person.features.missing.all(), person.features.written.tolist()) == (True, [0])

    def test_refuses_values_of_another_layout(self, reader_of):
        values = generation()
        other = FeatureSchemas(SCHEMAS.user, FeatureSchema(Entity.ITEM, SCHEMAS.item.features[::-1]))
        with pytest.raises(ReleaseMismatch):
            reader_of(values, other, ids_of(values)).read_items(values.ids(Entity.ITEM)[:1], AS_OF)


def test_online_and_offline_agree_on_everybody_and_everything_at_any_age(online: ReaderOf):
    values = generation(n_users=150, n_items=120)
    arguments = (values, SCHEMAS, ids_of(values))
    mine, theirs = offline(*arguments), online(*arguments)
    user_ids, item_ids = [*values.ids(Entity.USER), "nobody"], [*values.ids(Entity.ITEM)[::-1], "nothing"]
    moments = [
        AS_OF,
        WRITTEN,
        WRITTEN - SECOND,
        *(WRITTEN + timedelta(days=days, seconds=1) for days in (0, 1, 7, 400)),
    ]
    for now in moments:
        assert_same_rows(mine.read_items(item_ids, now), theirs.read_items(item_ids, now))
        for user_id in user_ids:
            one, other = mine.read_person(user_id, None, now), theirs.read_person(user_id, None, now)
            assert_same_rows(one.features, other.features)
            for name in ("item_idx", "event_ts", "values"):
                np.testing.assert_array_equal(getattr(one.history, name), getattr(other.history, name))
                assert getattr(one.history, name).dtype == getattr(other.history, name).dtype


def test_rows_of_two_times_are_aged_each_by_its_own(client):
    """A store may hold rows that were written at two times; each is as old as it says."""
    schema = FeatureSchema(Entity.ITEM, (FeatureSpec("item_day", -5.0, 1.0), FeatureSpec("item_ever", -6.0, 36_500.0)))
    values = generation()
    publish(client, APP, values, SCHEMAS, ids_of(values), "release", batch_size=100)
    later = generation(as_of=AS_OF + timedelta(days=3))
    publish(client, APP, later, SCHEMAS, ids_of(values), "release", batch_size=100)
    first, second = values.ids(Entity.ITEM)[:2]
    client.hset(items_key(APP, values.generation_id), second, client.hget(items_key(APP, later.generation_id), second))
    reader = RedisFeatureReader(client, APP, values.generation_id, FeatureSchemas(SCHEMAS.user, schema), ids_of(values))
    rows = reader.read_items([first, second], AS_OF + timedelta(days=3))
    assert rows.values[0, 0] == -5.0
    np.testing.assert_array_equal(rows.values[1, 0], np.nan_to_num(values.matrix(SCHEMAS.item)[1, 0], nan=-5.0))


def test_session_and_recent_events_are_read_with_the_person_in_one_round_trip(client, online: ReaderOf):
    values = generation()
    ids = ids_of(values)
    reader = online(values, SCHEMAS, ids)
    reader.read_person(UserId("u3"), None, AS_OF)  # the first call also reads where the buckets begin
    first, second = values.ids(Entity.ITEM)[:2]
    user_id = values.histories["user_id"][0]
    events = [
        RecentEvent(EventType.CLICK, ItemId(first), 1_600_000_000_000_001, float("nan"), None, SessionId("s1")),
        RecentEvent(EventType.VIEW, ItemId("gone"), 1_600_000_001_000_000, 1.0, user_id, SessionId("s1")),
        RecentEvent(EventType.RATING, ItemId(second), 1_600_000_002_000_000, 5.0, user_id),
    ]
    append_events(client, APP, events, session=Retention(20, 300), recent=Retention(20, 300))
    before = client.info("stats")["total_reads_processed"]
    person = reader.read_person(user_id, SessionId("s1"), AS_OF)
    # One read for our round trip, and one for asking how many there were.
    assert client.info("stats")["total_reads_processed"] - before == 2
    assert person.session.item_idx.tolist() == [ids.index(ItemId(first)), UNKNOWN]
    assert person.session.event_us.tolist() == [1_600_000_000_000_001, 1_600_000_001_000_000]
    np.testing.assert_array_equal(person.session.values, np.array([np.nan, 1.0], dtype=np.float32))
    assert person.recent.item_idx.tolist() == [UNKNOWN, ids.index(ItemId(second))]
    assert person.recent.event_types.tolist() == [EVENT_CODES[EventType.VIEW], EVENT_CODES[EventType.RATING]]
    assert len(person.history) > 0
    anonymous = reader.read_person(None, SessionId("s1"), AS_OF)
    assert (len(anonymous.history), len(anonymous.session), len(anonymous.recent)) == (0, 2, 0)


def test_many_people_are_read_in_one_round_trip_and_each_as_alone(client, online: ReaderOf):
    values = generation()
    ids = ids_of(values)
    reader = online(values, SCHEMAS, ids)
    reader.read_person(UserId("u3"), None, AS_OF)  # the first call also reads where the buckets begin
    item, (one, other) = values.ids(Entity.ITEM)[0], values.histories["user_id"].to_list()[:2]
    click = RecentEvent(EventType.CLICK, ItemId(item), 1_600_000_000_000_001, float("nan"), UserId(one), SessionId("s"))
    append_events(client, APP, [click], session=Retention(20, 300), recent=Retention(20, 300))
    visitors = [Visitor(one), Visitor(), Visitor("nobody"), Visitor(other, "s"), Visitor(None, "s"), Visitor(one, "s")]
    before = client.info("stats")["total_reads_processed"]
    together = reader.read_people(visitors, AS_OF)
    assert client.info("stats")["total_reads_processed"] - before == 2  # one of them is the question how many
    for person, visitor in zip(together, visitors, strict=True):
        alone = reader.read_person(*visitor, AS_OF)
        assert person.n_lost == alone.n_lost
        for part in ("features", "history", "session", "recent", "older"):
            for name, array in vars(getattr(person, part)).items():
                np.testing.assert_array_equal(array, getattr(getattr(alone, part), name))
    assert [len(person.recent) for person in together] == [1, 0, 0, 0, 0, 1]
    assert [len(person.session) for person in together] == [0, 0, 0, 1, 1, 1]
    assert [bool(person.features.known[0]) for person in together] == [True, False, False, True, False, True]


def test_a_history_of_another_catalogue_is_refused(client):
    values = generation()
    publish(client, APP, values, SCHEMAS, ids_of(values), "release", batch_size=100)
    other = IdMap.of([*values.ids(Entity.ITEM), "i9999"])
    reader = RedisFeatureReader(client, APP, values.generation_id, SCHEMAS, other)
    with pytest.raises(ReleaseMismatch) as refused:
        reader.read_person(values.histories["user_id"][0], None, AS_OF)
    assert other.fingerprint in str(refused.value)
    assert ids_of(values).fingerprint in str(refused.value)


def test_a_generation_nobody_published_reads_as_unknown(client):
    reader = RedisFeatureReader(client, APP, "f" * 16, SCHEMAS, ids_of(generation()))
    rows = reader.read_items(generation().ids(Entity.ITEM), AS_OF)
    assert not rows.known.any()
    assert rows.n_lost == len(rows.known)
    assert lost(reader, "u3") == 2


def test_a_generation_published_after_the_first_read_is_found(client):
    values = generation()
    reader = RedisFeatureReader(client, APP, values.generation_id, SCHEMAS, ids_of(values))
    user_id = values.users["user_id"][0]
    assert not reader.read_person(user_id, None, AS_OF).features.known.any()
    publish(client, APP, values, SCHEMAS, ids_of(values), "release", batch_size=100)
    assert reader.read_person(user_id, None, AS_OF).features.known.all()


def test_a_generation_of_the_first_format_is_refused_with_both_formats(client):
    values = generation()
    client.set(first_format_receipt_key(APP, values.generation_id), b"{}")
    reader = RedisFeatureReader(client, APP, values.generation_id, SCHEMAS, ids_of(values))
    with pytest.raises(StoreError, match="published in format 1; this Slatework reads 2"):
        reader.read_person(UserId("u3"), None, AS_OF)
    publish(client, APP, values, SCHEMAS, ids_of(values), "release", batch_size=100)
    assert reader.read_person(UserId("u3"), None, AS_OF).features.known.all()


def lost(reader: FeatureReader, user_id: str) -> int:
    return reader.read_person(UserId(user_id), None, AS_OF).n_lost


def test_an_unknown_person_is_a_newcomer_while_everybody_published_is_there(client, online: ReaderOf):
    values = generation()
    reader = online(values, SCHEMAS, ids_of(values))
    assert lost(reader, "nobody") == 0
    assert lost(reader, values.users["user_id"][0]) == 0
    assert reader.read_items(["never heard of"], AS_OF).n_lost == 0


def test_who_is_not_there_may_be_lost_where_the_bucket_is_not_full(client, online: ReaderOf):
    values = generation()
    reader = online(values, SCHEMAS, ids_of(values))
    gone, stays = values.histories["user_id"][0], values.histories["user_id"][1]
    client.hdel(users_key(APP, values.generation_id, 0), gone)
    assert (lost(reader, gone), lost(reader, stays)) == (1, 0)
    client.hdel(histories_key(APP, values.generation_id, 0), gone)
    person = reader.read_person(gone, None, AS_OF)
    assert (person.n_lost, person.features.known.tolist(), len(person.history)) == (2, [False], 0)


def test_an_item_of_the_release_without_its_row_is_lost(client, online: ReaderOf):
    values = generation()
    reader = online(values, SCHEMAS, ids_of(values))
    first, second = values.ids(Entity.ITEM)[:2]
    client.hdel(items_key(APP, values.generation_id), first)
    rows = reader.read_items([second, first, "never heard of"], AS_OF)
    assert (rows.known.tolist(), rows.n_lost) == ([True, False, False], 1)


def test_a_value_of_somebody_else_or_of_nan_is_lost_and_noted_for_whoever_repairs(client, online: ReaderOf):
    values = generation()
    reader = online(values, SCHEMAS, ids_of(values))
    rows, histories = users_key(APP, values.generation_id, 0), histories_key(APP, values.generation_id, 0)
    one, other = values.histories["user_id"].to_list()[:2]
    row = client.hget(rows, one)
    client.hset(rows, one, row[:20] + b"\x00\x00\xc0\x7f" * 2)
    client.hset(histories, one, client.hget(histories, other))
    person = reader.read_person(one, None, AS_OF)
    assert (person.n_lost, person.features.known.tolist(), len(person.history)) == (2, [False], 0)
    assert one in read_damage(client, APP, values.generation_id)
    publish(client, APP, values, SCHEMAS, ids_of(values), "release", batch_size=7)
    assert (lost(reader, one), client.hget(rows, one)) == (0, row)
    assert read_damage(client, APP, values.generation_id) == ""


@pytest.mark.parametrize("instead", [None, b"[]", b'["u1"]'], ids=["gone", "empty", "short"])
def test_a_list_of_buckets_that_is_not_what_the_receipt_says_is_not_kept(client, instead):
    values = generation(n_users=200)
    publish(client, APP, values, SCHEMAS, ids_of(values), "release", batch_size=100)
    reader = RedisFeatureReader(client, APP, values.generation_id, SCHEMAS, ids_of(values))
    for key in (users_key(APP, values.generation_id), histories_key(APP, values.generation_id)):
        client.delete(key)
        if instead is not None:
            client.set(key, instead)
    last = values.users["user_id"][-1]
    assert lost(reader, last) >= 1
    publish(client, APP, values, SCHEMAS, ids_of(values), "release", batch_size=100)
    person = reader.read_person(last, None, AS_OF)
    assert (person.n_lost, person.features.known.tolist()) == (0, [True])


def test_values_without_a_seal_are_read_as_before(client, online: ReaderOf):
    values = generation()
    reader = online(values, SCHEMAS, ids_of(values))
    user_id = values.histories["user_id"][0]
    before = reader.read_person(user_id, None, AS_OF)
    of_before = {users_key: 2, histories_key: 3}
    for key_of, version in of_before.items():
        key = key_of(APP, values.generation_id, 0)
        packed = client.hgetall(key)
        client.hset(key, mapping={one: it[:2] + bytes([version]) + it[3:16] + it[20:] for one, it in packed.items()})
    after = reader.read_person(user_id, None, AS_OF)
    np.testing.assert_array_equal(after.features.values, before.features.values)
    np.testing.assert_array_equal(after.history.item_idx, before.history.item_idx)
    assert after.n_lost == 0


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff"])
def test_a_damaged_list_of_buckets_is_an_error_and_no_unknown_person(client, content):
    values = generation()
    publish(client, APP, values, SCHEMAS, ids_of(values), "release", batch_size=100)
    client.set(users_key(APP, values.generation_id), content)
    reader = RedisFeatureReader(client, APP, values.generation_id, SCHEMAS, ids_of(values))
    with pytest.raises(StoreError, match="damaged"):
        reader.read_person(UserId("u3"), None, AS_OF)


def test_a_store_that_is_away_is_said_to_be_unavailable(closed_port):
    client = redis.Redis(port=closed_port, retry=Retry(NoBackoff(), 0))
    reader = RedisFeatureReader(client, APP, "f" * 16, SCHEMAS, ids_of(generation()))
    with pytest.raises(StoreUnavailable):
        reader.read_items(["i2"], AS_OF)
    with pytest.raises(StoreUnavailable):
        reader.read_person("u3", None, AS_OF)


@pytest.fixture
def closed_port() -> int:
    from feature_store.server.server_program import free_port

    return free_port()


def test_the_default_reader_knows_nobody():
    reader = DefaultFeatureReader("g", SCHEMAS)
    now = datetime(2020, 1, 1, tzinfo=UTC)
    assert reader.generation_id == "g"
    person = reader.read_person("u3", "s1", now)
    np.testing.assert_array_equal(person.features.values, [SCHEMAS.user.defaults])
    assert (len(person.history), len(person.session)) == (0, 0)
    rows = reader.read_items(["i2", "i7"], now)
    np.testing.assert_array_equal(rows.values, [SCHEMAS.item.defaults, SCHEMAS.item.defaults])
    assert not rows.known.any()


def filled(values: np.ndarray, schema: FeatureSchema) -> np.ndarray:
    return np.where(np.isnan(values), schema.defaults, values)


def assert_same_rows(one: FeatureRows, other: FeatureRows) -> None:
    assert one.values.dtype == other.values.dtype == np.float32
    assert one.values.tobytes() == other.values.tobytes()
    np.testing.assert_array_equal(one.known, other.known)
