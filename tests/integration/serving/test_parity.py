"""Values logged with answers, and computed again from the tables: equal when all is well, named when one is not."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from contracts.clock import FixedClock
from contracts.errors import ArtefactError, DataTooSmall, ReleaseMismatch
from contracts.events import EventType
from contracts.features import Entity, FeatureSchema, Person
from contracts.ids import ItemId, UserId
from contracts.slates import RecommendRequest
from contracts.tables import UTC_TIME, CanonicalTables
from feature_store.definitions import features_of, views_of
from feature_store.offline import offline_store as offline
from feature_store.offline import recomputation
from feature_store.offline.offline_store import values_as_of
from feature_store.online.event_stream import latest_records
from feature_store.online.keys import histories_key, items_key, requests_key, users_key, values_key
from feature_store.online.packing import HEADER, SEAL
from feature_store.online.recent_events import RecentEvent, Retention, append_events
from feature_store.publishing.publishing import publish
from feature_store.readers import live_features
from feature_store.readers.online_reader import RedisFeatureReader
from feature_store.values.values import FeatureSchemas
from recommender.ranking import ranking_features
from release.answering import request_path, request_query
from release.bundle.bundle import load_bundle
from release.bundle.bundle_store import BundleStore
from release.bundle.generation_store import GenerationStore
from release.bundle.manifest import FORMAT_VERSION
from release.parity import parity_run
from release.parity.logged_parity import RecomputationInputs, check_logged_values
from release.parity.parity_result import LoggedParity
from release.parity.parity_run import check_values_log
from release.parity.used_values import MAGIC, UsedValues, parse_record
from serving.logs.values_log import ValuesLog
from serving.metrics import Metrics
from serving.served import Arm, Served
from tests.integration.serving.worlds import Stage, ask
from tests.seals import sealed

# Starlette's test client asks for another HTTP library than the one it still works with.
pytestmark = pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient`")

PEOPLE = [f"u{500 + number}" for number in range(6)]


@pytest.fixture
def tables(world: CanonicalTables, tmp_path: Path) -> Path:
    """The tables that the releases were built from."""
    world.save(tmp_path / "valid")
    return tmp_path / "valid"


class Answering:
    """A server's arm that answers at one moment, and logs the values of every answer."""

    def __init__(self, stage: Stage, number: int = 0, age: timedelta = timedelta(0)) -> None:
        self._stage = stage
        self.release_id, self.generation_id = stage.pairs[number]
        self.release = load_bundle(BundleStore(stage.home).path(self.release_id))
        self.now = self.release.as_of + age
        self.schemas = self.release.schemas
        self._log = ValuesLog(lambda: stage.redis, stage.settings.app, stage.settings.serving, Metrics())

    def answer(self, *people: str | None) -> None:
        """Answer each of them once."""
        app, ids = self._stage.settings.app, self.release.catalogue.ids
        reader = RedisFeatureReader(self._stage.redis, app, self.generation_id, self.schemas, ids)
        served = Served(Arm.PRODUCTION, self.release, reader, FixedClock(self.now), online=True)
        for person in people:
            [answered] = served.answer_many([RecommendRequest(f"of {person}", person, k=5)], lambda _id: True)
            assert answered.values is not None
            self._log.append(answered.values, Arm.PRODUCTION)
        self._log.write_waiting()

    def check(self, tables: Path, **options: Any) -> LoggedParity:
        """Compute the values of everything logged again."""
        stage = self._stage
        [found] = check_values_log(stage.redis, stage.settings.app, stage.home, tables, 1000, **options)
        assert found.release_id == self.release_id
        return found


def at_fault(found: LoggedParity) -> dict[str, tuple[int, int, int]]:
    """mismatch, missing and extra of every feature that has any."""
    return {one.name: (one.mismatch, one.missing, one.extra) for one in found.features if one.n_faults}


def logged(stage: Stage) -> list[UsedValues]:
    return [parse_record(record) for record in latest_records(stage.redis, values_key(stage.settings.app), 1000)]


def test_every_value_an_answer_stood_on_is_the_one_the_tables_give(stage: Stage, tables: Path) -> None:
    answering = Answering(stage)
    answering.answer(*PEOPLE, "nobody", None)
    found = answering.check(tables)
    assert at_fault(found) == {}
    assert (found.n_requests, found.other_tables) == (7, ())  # of the guest no value was read
    named = {one.name: one.n_values for one in found.features}
    assert named["user_event_count_total"] == 7
    assert named["item_event_count_total"] > 7 * 5
    assert named["history_length"] == 7


@pytest.mark.parametrize("days", [6.9, 7.1, 400])
def test_a_value_past_its_ttl_is_missing_on_both_sides(stage: Stage, tables: Path, days: float) -> None:
    answering = Answering(stage, age=timedelta(days=days))
    answering.answer(*PEOPLE)
    found = answering.check(tables)
    assert at_fault(found) == {}
    column = answering.schemas.user.names.index("user_event_count_7d")
    gone = [bool(one.user.rows.missing[0, column]) for one in logged(stage) if one.user]
    assert gone == [days > 7] * len(PEOPLE)


def clicked(stage: Stage, person: str, *moments: datetime, items: tuple[str, ...] = ("i1003",)) -> None:
    """Somebody clicks on things, and then never comes back."""
    events = [
        RecentEvent(EventType.CLICK, ItemId(item_id), int(moment.timestamp() * 1e6), math.nan, UserId(person))
        for moment in moments
        for item_id in items
    ]
    append_events(stage.redis, stage.settings.app, events, session=Retention(9, 900), recent=Retention(9, 900))


def test_live_features_are_computed_again_from_the_tables_and_what_came_in_since(stage: Stage, tables: Path) -> None:
    answering = Answering(stage, age=timedelta(days=6, hours=5))
    as_of = answering.release.as_of
    clicked(stage, PEOPLE[0], *(as_of + timedelta(hours=hours) for hours in (1, 6, 140)), as_of - timedelta(days=2))
    clicked(stage, "somebody new", as_of + timedelta(hours=2))
    answering.answer(*PEOPLE, "somebody new", "nobody")
    assert at_fault(answering.check(tables)) == {}
    names = answering.schemas.user.names
    counts = [one.user.rows.values[0, names.index("user_event_count_1d")] for one in logged(stage) if one.user]
    assert counts == [1.0, *(0.0 for _ in PEOPLE), 0.0]
    total = [one.user.rows.values[0, names.index("user_event_count_total")] for one in logged(stage) if one.user]
    assert total[len(PEOPLE)] == 1.0


def test_what_was_brought_back_since_is_computed_again_from_the_items_that_are_logged(
    stage: Stage, tables: Path
) -> None:
    answering = Answering(stage, age=timedelta(hours=5))
    start_us = int(answering.release.as_of.timestamp() * 1e6)
    told = [("i1003", "purchase"), ("new", "purchase"), ("i1004", "purchase"), ("i1003", "return"), ("gone", "return")]
    events = [
        RecentEvent(EventType(kind), ItemId(item_id), start_us + at, math.nan, UserId(PEOPLE[0]))
        for at, (item_id, kind) in enumerate(told, start=1)
    ]
    append_events(stage.redis, stage.settings.app, events, session=Retention(9, 900), recent=Retention(9, 900))
    answering.answer(PEOPLE[0])
    assert at_fault(answering.check(tables)) == {}
    [one] = logged(stage)
    assert one.user is not None
    assert one.user.rows.values[0, answering.schemas.user.names.index("user_event_count_1h")] == 0
    assert one.user.rows.values[0, answering.schemas.user.names.index("user_event_count_1d")] == 2


def test_events_of_one_batch_that_are_stamped_alike_are_as_many_as_they_are(stage: Stage, tables: Path) -> None:
    answering = Answering(stage, age=timedelta(hours=5))
    clicked(stage, PEOPLE[0], answering.release.as_of + timedelta(hours=1), items=("i1003", "i1004", "i1003"))
    answering.answer(PEOPLE[0])
    assert at_fault(answering.check(tables)) == {}
    column = answering.schemas.user.names.index("user_event_count_1d")
    assert [one.user.rows.values[0, column] for one in logged(stage) if one.user] == [2.0]


@pytest.fixture
def in_parts_of_seconds(stage: Stage, world: CanonicalTables, tables: Path) -> Stage:
    """A generation of a world whose events have parts of seconds, which the tables hold; so has its own moment."""
    parts = pl.int_range(pl.len(), dtype=pl.Int64) * 7_919_777 % 1_000_000
    told = world.interactions.with_columns(pl.col("event_ts") + pl.duration(microseconds=parts))
    mine = replace(world, interactions=told)
    mine.save(tables)
    release = load_bundle(BundleStore(stage.home).path(stage.pairs[0][0]))
    as_of = told["event_ts"].max() + timedelta(microseconds=1)
    values = values_as_of(mine, as_of, stage.settings.features.history_length).of(release.schemas)
    GenerationStore(stage.home).keep(values)
    publish(stage.redis, stage.settings.app, values, release.schemas, release.catalogue.ids, release.release_id, 1000)
    return replace(stage, pairs=((release.release_id, values.generation_id), stage.pairs[1]), as_of=as_of)


@pytest.mark.parametrize("days", [0, 0.3, 6.2, 40])
def test_events_with_parts_of_seconds_are_no_fault_of_a_reader(
    in_parts_of_seconds: Stage, tables: Path, world: CanonicalTables, days: float
) -> None:
    stage = in_parts_of_seconds
    answering = Answering(stage)
    answering.now = stage.as_of + timedelta(days=days, microseconds=371_000)
    # The last event of all is in the history and, as it came in lately, in its person's list as well.
    last = world.interactions.row(-1, named=True)
    clicked(stage, last["user_id"], stage.as_of - timedelta(microseconds=1), items=(last["item_id"],))
    clicked(stage, PEOPLE[0], stage.as_of + timedelta(days=days / 2, microseconds=200_001))
    answering.answer(*PEOPLE, last["user_id"], "nobody")
    assert at_fault(answering.check(tables)) == {}


@pytest.mark.parametrize(
    ("feature", "wrong_by"),
    [("user_event_recency_days_total", 2e-4), ("user_event_tenure_days_total", -2e-4), ("user_event_count_90d", 1)],
)
def test_a_wrong_live_value_is_named_where_events_have_parts_of_seconds(
    in_parts_of_seconds: Stage, tables: Path, monkeypatch: pytest.MonkeyPatch, feature: str, wrong_by: float
) -> None:
    answering = Answering(in_parts_of_seconds)
    answering.now = in_parts_of_seconds.as_of + timedelta(hours=5)
    column = answering.schemas.user.names.index(feature)

    def wrong(person: Person, schema: FeatureSchema, now: datetime) -> Person:
        found = live_features.with_live_features(person, schema, now)
        values = found.features.values.copy()
        values[0, column] += wrong_by
        return replace(found, features=replace(found.features, values=values))

    monkeypatch.setattr(request_query, "with_live_features", wrong)
    answering.answer(*PEOPLE)
    assert at_fault(answering.check(tables)) == {feature: (len(PEOPLE), 0, 0)}


def test_what_is_stamped_later_than_the_request_is_taken_for_just_now_on_both_sides(stage: Stage, tables: Path) -> None:
    answering = Answering(stage, age=timedelta(hours=5))
    clicked(stage, PEOPLE[0], answering.release.as_of + timedelta(hours=5, minutes=2))
    answering.answer(PEOPLE[0])
    assert at_fault(answering.check(tables)) == {}
    column = answering.schemas.user.names.index("user_event_count_1d")
    assert [one.user.rows.values[0, column] for one in logged(stage) if one.user] == [1.0]


def test_a_live_feature_that_is_counted_wrongly_is_named(
    stage: Stage, tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering = Answering(stage, age=timedelta(days=3))
    clicked(stage, PEOPLE[0], answering.release.as_of + timedelta(days=1))
    monkeypatch.setattr(live_features, "MICROSECONDS_PER_DAY", 43_200_000_000)
    answering.answer(*PEOPLE)
    assert set(at_fault(answering.check(tables))) == {"user_event_recency_days_total", "user_event_tenure_days_total"}


def spoil(row: bytes, entity_id: str, schema: FeatureSchema, feature: str, value: float) -> bytes:
    """The packed row with one value replaced."""
    at = HEADER.size + SEAL.size + 4 * schema.names.index(feature)
    return sealed(row[:at] + struct.pack("<f", value) + row[at + 4 :], entity_id)


def value_of(row: bytes, schema: FeatureSchema, feature: str) -> float:
    value: float = struct.unpack_from("<f", row, HEADER.size + SEAL.size + 4 * schema.names.index(feature))[0]
    return value


@pytest.mark.parametrize(("value", "kind"), [(99.0, (1, 0, 0)), (math.nan, (0, 1, 0))])
def test_a_wrong_row_of_a_person_in_the_store_is_named(
    stage: Stage, tables: Path, value: float, kind: tuple[int, int, int]
) -> None:
    answering = Answering(stage)
    key = users_key(stage.settings.app, answering.generation_id, 0)
    row = spoil(stage.redis.hget(key, PEOPLE[2]), PEOPLE[2], answering.schemas.user, "user_event_count_30d", value)
    stage.redis.hset(key, PEOPLE[2], row)
    answering.answer(*PEOPLE)
    found = answering.check(tables)
    assert at_fault(found) == {"user_event_count_30d": kind}
    [worst] = found.worst()
    assert f"user {PEOPLE[2]!r}" in worst.example
    assert f"request of {PEOPLE[2]}" in worst.example


def test_a_value_that_the_tables_do_not_give_is_extra(stage: Stage, tables: Path) -> None:
    answering = Answering(stage)
    schema, name = answering.schemas.user, "user_value_mean_30d"
    key = users_key(stage.settings.app, answering.generation_id, 0)
    rows = {user_id.decode(): row for user_id, row in stage.redis.hgetall(key).items()}
    without = next(user_id for user_id, row in sorted(rows.items()) if math.isnan(value_of(row, schema, name)))
    stage.redis.hset(key, without, spoil(rows[without], without, schema, name, 3.25))
    answering.answer(without)
    assert at_fault(answering.check(tables)) == {name: (0, 0, 1)}


def test_a_wrong_row_of_an_item_is_named(stage: Stage, tables: Path) -> None:
    answering = Answering(stage)
    key, name = items_key(stage.settings.app, answering.generation_id), "item_event_count_total"
    rows = stage.redis.hgetall(key).items()
    wrong = {item_id: spoil(row, item_id.decode(), answering.schemas.item, name, 3.25) for item_id, row in rows}
    stage.redis.hset(key, mapping=wrong)
    answering.answer(PEOPLE[0])
    assert set(at_fault(answering.check(tables))) == {name}


def test_a_ttl_that_is_not_kept_online_is_named(stage: Stage, tables: Path) -> None:
    answering = Answering(stage, age=timedelta(days=8))
    features = answering.schemas.user.features
    longer = tuple(replace(one, ttl_days=9.0) if one.name == "user_event_count_7d" else one for one in features)
    answering.schemas = FeatureSchemas(FeatureSchema(Entity.USER, longer), answering.schemas.item)
    answering.answer(*PEOPLE)
    assert at_fault(answering.check(tables)) == {"user_event_count_7d": (0, 0, len(PEOPLE))}


def test_a_default_that_is_not_the_one_learnt_is_a_mismatch(stage: Stage, tables: Path) -> None:
    answering = Answering(stage, age=timedelta(days=8))
    features = answering.schemas.user.features
    other = tuple(replace(one, default=-5.0) if one.name == "user_event_count_7d" else one for one in features)
    answering.schemas = FeatureSchemas(FeatureSchema(Entity.USER, other), answering.schemas.item)
    answering.answer(*PEOPLE)
    assert at_fault(answering.check(tables)) == {"user_event_count_7d": (len(PEOPLE), 0, 0)}


def test_a_feature_whose_expression_changed_is_named(
    stage: Stage, tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering = Answering(stage)
    answering.answer(*PEOPLE)

    def one_more(entity: Entity) -> Any:
        return tuple(
            replace(
                view,
                expression=lambda rows, view=view: plus_one(view.computed_from(rows), "user_event_count_total"),
                aggregations=(),
            )
            if any(feature.name == "user_event_count_total" for feature in view.features)
            else view
            for view in views_of(entity)
        )

    monkeypatch.setattr(offline, "views_of", one_more)
    assert at_fault(answering.check(tables)) == {"user_event_count_total": (len(PEOPLE), 0, 0)}


def plus_one(rows: Any, name: str) -> Any:
    return rows.mutate(**{name: rows[name] + 1})


def test_a_history_that_lost_its_latest_event_is_named(stage: Stage, tables: Path) -> None:
    answering = Answering(stage)
    key = histories_key(stage.settings.app, answering.generation_id, 0)
    stage.redis.hset(key, PEOPLE[0], sealed(stage.redis.hget(key, PEOPLE[0])[:-12], PEOPLE[0]))
    answering.answer(*PEOPLE)
    assert {"history_length", "history_last_ts"} >= set(at_fault(answering.check(tables))) >= {"history_length"}


def test_rows_of_a_later_moment_than_the_tables_were_asked_about_are_named(stage: Stage, tables: Path) -> None:
    """The second release was published with values that say to be an hour fresher than they are."""
    answering = Answering(stage, number=1)
    answering.answer(*PEOPLE)
    assert at_fault(answering.check(tables))["user_event_recency_days_total"] == (len(PEOPLE), 0, 0)


def test_a_generation_whose_values_are_gone_is_of_the_moment_that_its_rows_tell(
    stage: Stage, tables: Path, world: CanonicalTables
) -> None:
    answering = Answering(stage, number=1)
    answering.answer(*PEOPLE)
    assert answering.generation_id not in GenerationStore(stage.home).generation_ids()
    an_hour_fresher = answering.release.as_of + timedelta(hours=1)
    rows = world.interactions.filter(pl.col("user_id") == PEOPLE[0]).tail(1)
    for later, kinds in ((timedelta(0), {}), (-timedelta(seconds=2), {"history_length": (1, 0, 0)})):
        late = rows.with_columns(event_ts=pl.lit(an_hour_fresher + later, UTC_TIME))
        replace(world, interactions=pl.concat([world.interactions, late])).save(tables)
        found = at_fault(answering.check(tables))
        assert {name: found[name] for name in found if name == "history_length"} == kinds


def test_of_a_generation_that_is_gone_nobody_can_tell_the_moment_when_nobody_was_known(
    stage: Stage, tables: Path
) -> None:
    Answering(stage, number=1).answer("nobody")
    with pytest.raises(ArtefactError, match="Nobody can tell when generation"):
        check_values_log(stage.redis, stage.settings.app, stage.home, tables, 10)


@pytest.mark.parametrize(("since", "tells"), [(FORMAT_VERSION, True), (FORMAT_VERSION + 1, False)])
def test_of_a_bundle_of_before_it_is_known_that_its_histories_tell_no_types(
    stage: Stage, tables: Path, monkeypatch: pytest.MonkeyPatch, since: int, tells: bool
) -> None:
    bases: list[RecomputationInputs] = []

    def check(release_id: str, used: Sequence[UsedValues], inputs: RecomputationInputs) -> LoggedParity:
        bases.append(inputs)
        return check_logged_values(release_id, used, inputs)

    monkeypatch.setattr(parity_run, "check_logged_values", check)
    monkeypatch.setattr(parity_run, "TYPED_SINCE_VERSION", since)
    answering = Answering(stage)
    answering.answer(PEOPLE[0])
    answering.check(tables)
    assert [inputs.has_event_types for inputs in bases] == [tells]


def test_a_tolerance_may_be_named(stage: Stage, tables: Path) -> None:
    answering = Answering(stage)
    key, name = users_key(stage.settings.app, answering.generation_id, 0), "user_event_tenure_days_total"
    row = stage.redis.hget(key, PEOPLE[0])
    value = value_of(row, answering.schemas.user, name)
    stage.redis.hset(key, PEOPLE[0], spoil(row, PEOPLE[0], answering.schemas.user, name, value * 1.0001))
    answering.answer(PEOPLE[0])
    assert at_fault(answering.check(tables)) == {name: (1, 0, 0)}
    assert at_fault(answering.check(tables, tolerance=0.001)) == {}


def test_tables_that_the_release_was_not_built_from_are_named(
    stage: Stage, tables: Path, world: CanonicalTables
) -> None:
    answering = Answering(stage)
    answering.answer(PEOPLE[0])
    replace(world, interactions=world.interactions.head(world.interactions.height - 1)).save(tables)
    assert answering.check(tables).other_tables == ("interactions",)


def test_features_that_are_declared_no_more_are_refused_with_both_lists(
    stage: Stage, tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering = Answering(stage)
    answering.answer(PEOPLE[0])
    monkeypatch.setattr(recomputation, "features_of", lambda entity: features_of(entity)[1:])
    with pytest.raises(ReleaseMismatch, match="git checkout release"):
        answering.check(tables)


def test_an_empty_log_says_how_it_fills(stage: Stage, tables: Path) -> None:
    with pytest.raises(DataTooSmall, match="values_log_share"):
        check_values_log(stage.redis, stage.settings.app, stage.home, tables, 10)


def test_a_foreign_record_is_refused(stage: Stage, tables: Path) -> None:
    stage.redis.xadd(values_key(stage.settings.app), {"record": b"{}"})
    with pytest.raises(ArtefactError, match="values log"):
        check_values_log(stage.redis, stage.settings.app, stage.home, tables, 10)


@contextmanager
def asking(stage: Stage) -> Iterator[Any]:
    stage.point_at(0)
    with stage.client() as client:
        yield client


def test_a_server_logs_what_it_showed_beside_the_question(stage: Stage) -> None:
    with asking(stage) as client:
        slate = ask(client, user_id=PEOPLE[0], k=3)
    [one] = logged(stage)
    assert one.request_id == slate["request_id"]
    assert (one.release_id, one.generation_id) == stage.pairs[0]
    assert one.items is not None
    assert list(one.items.ids[:3]) == [item["item_id"] for item in slate["items"]]
    [record] = latest_records(stage.redis, values_key(stage.settings.app), 10)
    assert b'"arm":"production"' in zlib.decompress(record.removeprefix(MAGIC))


def test_the_rows_that_are_logged_are_those_that_the_ranker_was_handed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering = Answering(stage, age=timedelta(days=6, hours=5))
    clicked(stage, PEOPLE[0], answering.release.as_of + timedelta(days=6))
    handed = []
    monkeypatch.setattr(
        request_path, "assemble", lambda *asked: (handed.append(asked), ranking_features.assemble(*asked))[1]
    )
    answering.answer(PEOPLE[0])
    [(catalogue, _, candidates, user_row, item_rows, *_)] = handed
    [one] = logged(stage)
    assert one.user is not None
    assert one.items is not None
    assert one.user.rows.values.tolist() == user_row.values.tolist()
    at = [catalogue.ids.external(candidates.item_idx).index(item_id) for item_id in one.items.ids]
    assert one.items.rows.values.tolist() == item_rows.values[at].tolist()


def test_a_share_of_requests_is_logged_the_same_ones_always(stage: Stage) -> None:
    log, again = (
        ValuesLog(lambda: stage.redis, "movies", stage.with_serving(values_log_share=share).settings.serving, Metrics())
        for share in (0.25, 0.5)
    )
    wanted = {str(number) for number in range(2000) if log.wants(str(number))}
    assert 400 < len(wanted) < 600
    assert all(again.wants(request_id) for request_id in wanted)


@pytest.mark.parametrize("serving", [{"values_log_share": 0.0}, {"values_log_length": 0}])
def test_no_values_are_logged_where_none_are_wanted(stage: Stage, serving: dict[str, Any]) -> None:
    with asking(stage.with_serving(**serving)) as client:
        ask(client, user_id=PEOPLE[0])
    assert latest_records(stage.redis, requests_key(stage.settings.app), 10)
    assert logged(stage) == []


def test_an_answer_made_of_defaults_because_the_store_was_unreadable_is_not_logged(stage: Stage) -> None:
    key = items_key(stage.settings.app, stage.pairs[0][1])
    stage.redis.hset(key, mapping=dict.fromkeys(stage.redis.hkeys(key), b"no row"))
    with asking(stage) as client:
        assert "features" in ask(client, user_id=PEOPLE[0])["degraded"]
    assert logged(stage) == []
