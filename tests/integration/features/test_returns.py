"""Purchases that people bring back: what a real Redis gives of them is what the offline store computes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
import redis

from contracts.events import EventType
from contracts.features import Entity, FeatureSchema, FeatureSpec
from contracts.id_map import IdMap
from contracts.ids import ItemId, UserId
from contracts.tables import CanonicalTables
from feature_store.definitions import features_of
from feature_store.offline.offline_store import point_in_time_join, values_as_of
from feature_store.online.connection import connect
from feature_store.online.recent_events import RecentEvent, Retention, append_events
from feature_store.publishing.publishing import publish
from feature_store.readers.live_features import LIVE_NAMES, with_live_features
from feature_store.readers.online_reader import RedisFeatureReader
from feature_store.values.values import FeatureSchemas
from tests.worlds import START

APP = "returns"
AS_OF = START + timedelta(days=60)
KEPT = Retention(1000, 900)


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url) as client:
        yield client


@pytest.fixture(scope="module")
def told(shop: CanonicalTables) -> CanonicalTables:
    """The small shop with every event once: what is sent twice counts once."""
    key = ["user_id", "item_id", "event_type", "event_ts"]
    return replace(shop, interactions=shop.interactions.unique(key, keep="first", maintain_order=True))


def schema_of(entity: Entity) -> FeatureSchema:
    day = timedelta(days=1)
    specs = (
        FeatureSpec(feature.name, feature.when_empty or 0.0, view.ttl / day) for feature, view in features_of(entity)
    )
    return FeatureSchema(entity, tuple(specs))


SCHEMAS = FeatureSchemas(schema_of(Entity.USER), schema_of(Entity.ITEM))


def reader_of(tables: CanonicalTables, client: redis.Redis) -> RedisFeatureReader:
    """The shop as of AS_OF, published."""
    values, ids = values_as_of(tables, AS_OF, 1000), IdMap.of(tables.items["item_id"])
    publish(client, APP, values, SCHEMAS, ids, "release", batch_size=100)
    return RedisFeatureReader(client, APP, values.generation_id, SCHEMAS, ids)


def test_what_is_published_is_what_the_offline_store_computes(told: CanonicalTables, client: redis.Redis) -> None:
    reader = reader_of(told, client)
    items = told.items["item_id"].to_list()
    right = point_in_time_join(pl.DataFrame({"item_id": items, "as_of": [AS_OF] * len(items)}), told, Entity.ITEM)
    found = reader.read_items(items, AS_OF)
    for column, name in enumerate(SCHEMAS.item.names):
        values = np.where(found.missing[:, column], np.nan, found.values[:, column])
        np.testing.assert_array_equal(values, right[name].fill_null(math.nan).to_numpy(), name)


@pytest.mark.parametrize("days", [0.125, 3, 21, 39])
def test_live_values_after_returns_are_the_offline_values_at_the_request(
    told: CanonicalTables, client: redis.Redis, days: float
) -> None:
    reader, now = reader_of(told, client), AS_OF + timedelta(days=days)
    since = told.interactions.filter(pl.col("event_ts").is_between(AS_OF, now, closed="left"))
    events = [
        RecentEvent(
            EventType(row["event_type"]),
            ItemId(row["item_id"]),
            int(row["event_ts"].timestamp() * 1e6),
            math.nan if row["value"] is None else row["value"],
            UserId(row["user_id"]),
        )
        for row in since.iter_rows(named=True)
    ]
    append_events(client, APP, events, session=KEPT, recent=KEPT)
    people = told.users["user_id"].to_list()
    right = point_in_time_join(pl.DataFrame({"user_id": people, "as_of": [now] * len(people)}), told, Entity.USER)
    for at, user_id in enumerate(people):
        person = with_live_features(reader.read_person(UserId(user_id), None, now), SCHEMAS.user, now)
        for column, (feature, _) in enumerate(features_of(Entity.USER)):
            if feature.name in LIVE_NAMES:
                # Of a count the default says as much as the offline store: nothing happened.
                is_there = feature.when_empty is not None or not person.features.missing[0, column]
                value = person.features.values[0, column] if is_there else None
                assert value == right[feature.name][at], (user_id, feature.name)
    n_returned = since.filter(pl.col("event_type") == "return").height
    assert n_returned > 0 or days < 1
