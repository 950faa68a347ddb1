"""The quick way of aggregations against a plain loop, against the expression, and in a table that goes by Parquet."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.calendar import MICROSECONDS_PER_DAY
from contracts.errors import SettingsError, SourceError
from contracts.features import Entity
from contracts.returns import NEVER_TAKEN_BACK, with_taken_back_ts
from contracts.tables import UTC_TIME, CanonicalTables
from feature_store.definitions import ALL_VIEWS
from feature_store.definitions.views import (
    AggregateFunction,
    Aggregation,
    Feature,
    FeatureView,
    Rows,
    Source,
    per_entity,
)
from feature_store.offline import trailing_windows, training_table
from feature_store.offline.engines import open_engine
from feature_store.offline.offline_store import point_in_time_join
from feature_store.offline.trailing_windows import EventRuns, Moments
from feature_store.offline.training_table import write_training_table

REACH = 5
COUNT = Aggregation(AggregateFunction.COUNT)
AGGREGATED = tuple(view for view in ALL_VIEWS if view.aggregations)
# An entity, when, its value, and how much later it was taken back.
EVENTS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(0, 12),
        st.one_of(st.none(), st.integers(-3000, 3000)),
        st.one_of(st.none(), st.integers(0, 9)),
    ),
    max_size=30,
)
EVERY_MOMENT = [(entity, as_of) for entity in range(4) for as_of in range(-2, 21)]
# In no order, and some of them twice.
MOMENTS = st.tuples(st.permutations(EVERY_MOMENT), st.integers(0, 30)).map(
    lambda drawn: drawn[0] + drawn[0][: drawn[1]]
)


def by_loop(function: AggregateFunction, events: list[tuple], entity: int, as_of: int) -> float:
    within = [
        (us, value)
        for code, us, value, later in events
        if code == entity and as_of - REACH <= us < as_of and (later is None or us + later >= as_of)
    ]
    values = [value for _, value in within if value is not None]
    match function:
        case AggregateFunction.COUNT:
            return len(within)
        case AggregateFunction.MEAN_VALUE:
            return sum(values) / len(values) / 1000 if values else float("nan")
        case AggregateFunction.DAYS_SINCE_LAST:
            return (as_of - max(us for us, _ in within)) / MICROSECONDS_PER_DAY if within else float("nan")
        case AggregateFunction.DAYS_SINCE_FIRST:
            return (as_of - min(us for us, _ in within)) / MICROSECONDS_PER_DAY if within else float("nan")


@settings(deadline=None)
@given(
    EVENTS, MOMENTS, st.sampled_from(list(AggregateFunction)), st.sampled_from([(1, 2**62), (7, 2**62), (10_000, 60)])
)
def test_an_aggregate_is_what_a_loop_over_the_events_gives_however_they_are_cut(events, moments, function, cut):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trailing_windows, "CHUNK_ROWS", cut[0])
        patch.setattr(trailing_windows, "LARGEST_KEY", cut[1])
        runs = EventRuns(
            np.array([code for code, *_ in events], np.int32),
            np.array([us for _, us, *_ in events], np.int64),
            np.array([value or 0 for _, _, value, _ in events], np.int64),
            np.array([value is not None for _, _, value, _ in events], bool),
            4,
            np.array([NEVER_TAKEN_BACK if later is None else us + later for _, us, _, later in events], np.int64),
        )
        asked = Moments(
            np.array([code for code, _ in moments], np.int32), np.array([us for _, us in moments], np.int64), 4
        )
        found = np.empty(len(moments))
        found[asked.order] = runs.aggregate(function, runs.spans(asked, REACH))
    expected = [by_loop(function, events, entity, as_of) for entity, as_of in moments]
    assert np.array_equal(found, np.array(expected, float), equal_nan=True)


def spine_of(world: CanonicalTables, entity: Entity) -> pl.DataFrame:
    """Each of the world's events, twice each tenth, at its own time, in no order, and somebody nobody knows."""
    key = f"{entity}_id"
    rows = world.interactions.select(key, as_of="event_ts")
    nobody = pl.DataFrame({key: ["nobody"], "as_of": [world.interactions["event_ts"][500]]}, schema=rows.schema)
    return pl.concat([rows, rows[::10], nobody]).sample(fraction=1.0, shuffle=True, seed=4)


@pytest.fixture(params=["world", "shop"])
def told(request) -> CanonicalTables:
    """What was told of films, and of a shop in which purchases are taken back."""
    tables: CanonicalTables = request.getfixturevalue(request.param)
    return tables


@pytest.mark.parametrize("entity", list(Entity))
def test_the_quick_way_gives_every_bit_of_the_expression(told, entity):
    world, spine = told, spine_of(told, entity)
    quick = point_in_time_join(spine, world, entity)
    keys = pl.DataFrame({"entity_id": spine[f"{entity}_id"], "as_of_us": spine["as_of"].dt.epoch("us")})
    with open_engine() as engine:
        events = engine.table(
            with_taken_back_ts(world.interactions)
            .filter(pl.col("event_type") != "return")
            .select(
                f"{entity}_id",
                "event_type",
                event_us=pl.col("event_ts").dt.epoch("us"),
                value_milli=(pl.col("value") * 1000).round().cast(pl.Int64),
                taken_back_us=pl.col("taken_back_ts").dt.epoch("us").fill_null(NEVER_TAKEN_BACK),
            )
        )
        asked = engine.table(keys.unique())
        for view in (view for view in AGGREGATED if view.entity is entity):
            rows = asked.join(
                events,
                [
                    asked.entity_id == events[f"{entity}_id"],
                    events.event_us < asked.as_of_us,
                    events.event_us >= asked.as_of_us - view.reach_us,
                    events.taken_back_us >= asked.as_of_us,
                ],
            )
            slow = keys.join(
                engine.compute(view.computed_from(rows)), on=keys.columns, how="left", maintain_order="left"
            )
            for feature in view.features:
                expected = slow[feature.name].cast(pl.Float32)
                expected = expected if feature.when_empty is None else expected.fill_null(feature.when_empty)
                assert quick[feature.name].equals(expected, check_names=False), feature.name


def test_a_table_by_parquet_is_the_join_in_memory(told, tmp_path, monkeypatch):
    world = told
    monkeypatch.setattr(training_table, "BATCH_ROWS", 97)  # many, and the last one is short
    spine = world.interactions.select("user_id", "item_id", "value", as_of="event_ts")
    spine = pl.concat([spine, spine[::7]]).sample(fraction=1.0, shuffle=True, seed=4)
    spine.write_parquet(tmp_path / "spine.parquet")
    world.interactions.write_parquet(tmp_path / "events.parquet")
    n_rows = write_training_table(
        tmp_path / "spine.parquet", tmp_path / "events.parquet", AGGREGATED, tmp_path / "table.parquet"
    )
    found = pl.read_parquet(tmp_path / "table.parquet")
    assert n_rows == len(spine)
    assert found.select(spine.columns).equals(spine)
    for entity in Entity:
        expected = point_in_time_join(spine, world, entity)
        names = [feature.name for view in AGGREGATED if view.entity is entity for feature in view.features]
        assert found.select(names).equals(expected.select(names))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events.parquet", "spine.parquet", "table.parquet"]


def test_a_table_by_parquet_knows_nothing_of_people_it_was_not_asked_about(world, tmp_path):
    few = world.interactions.head(40).select("user_id", as_of="event_ts")
    few.write_parquet(tmp_path / "spine.parquet")
    world.interactions.write_parquet(tmp_path / "events.parquet")
    people = [view for view in AGGREGATED if view.entity is Entity.USER]
    write_training_table(tmp_path / "spine.parquet", tmp_path / "events.parquet", people, tmp_path / "table.parquet")
    names = [feature.name for view in people for feature in view.features]
    expected = point_in_time_join(few, world, Entity.USER).select(names)
    assert pl.read_parquet(tmp_path / "table.parquet").select(names).equals(expected)


@pytest.mark.parametrize("n_rows", [0, 60])
def test_a_table_by_parquet_may_be_asked_about_nobody(world, tmp_path, n_rows):
    rows = world.interactions.head(n_rows).select("user_id", as_of="event_ts")
    nameless = rows.with_columns(user_id=pl.when(pl.col("as_of").dt.second() % 3 > 0).then("user_id"))
    assert nameless["user_id"].null_count() == pytest.approx(n_rows / 3, abs=n_rows / 5)
    nameless.write_parquet(tmp_path / "spine.parquet")
    told = pl.concat([world.interactions, world.interactions.head(300).with_columns(user_id=pl.lit(None, pl.String))])
    told.write_parquet(tmp_path / "events.parquet")
    people = [view for view in AGGREGATED if view.entity is Entity.USER]
    write_training_table(tmp_path / "spine.parquet", tmp_path / "events.parquet", people, tmp_path / "table.parquet")
    names = [feature.name for view in people for feature in view.features]
    found = pl.read_parquet(tmp_path / "table.parquet")
    assert found.select(names).equals(point_in_time_join(nameless, world, Entity.USER).select(names))


def test_whoever_has_no_id_did_nothing(world):
    nameless = world.interactions.head(300).with_columns(user_id=pl.lit(None, pl.String))
    told = replace(world, interactions=pl.concat([world.interactions, nameless]))
    moment = world.interactions["event_ts"][600]
    asked = pl.DataFrame({"user_id": [None, "nobody"], "as_of": [moment] * 2}, schema_overrides={"user_id": pl.String})
    found = point_in_time_join(asked, told, Entity.USER)
    assert found["user_event_count_total"].to_list() == [0, 0]
    assert found["user_event_recency_days_total"].to_list() == [None, None]


def test_a_table_by_parquet_takes_no_expression_and_says_what_to_do(tmp_path):
    view = next(view for view in ALL_VIEWS if view.expression is not None)
    with pytest.raises(SettingsError, match=f"View {view.name} is an expression") as caught:
        write_training_table(tmp_path / "a", tmp_path / "b", [view], tmp_path / "c")
    assert "by aggregations" in caught.value.next_step


def no_rows(rows: Rows) -> Rows:
    return per_entity(rows, x=rows.count())


@pytest.mark.parametrize(("expression", "aggregations"), [(None, ()), (no_rows, (COUNT,)), (None, (COUNT, COUNT))])
def test_a_view_has_an_expression_or_an_aggregation_for_each_feature(expression, aggregations):
    days = timedelta(days=1)
    with pytest.raises(ValueError, match="View odd needs an expression, or an aggregation"):
        FeatureView("odd", Entity.USER, Source.EVENTS, days, days, "me", "", (Feature("x"),), expression, aggregations)


@pytest.mark.parametrize("entity", list(Entity))
@pytest.mark.parametrize("late", [timedelta(0), timedelta(microseconds=1), timedelta(days=3)])
def test_what_happens_at_a_moment_or_later_changes_no_row_of_it(world, entity, late):
    moment = world.interactions["event_ts"][600]
    spine = world.interactions.select(pl.col(f"{entity}_id").unique()).with_columns(as_of=pl.lit(moment).cast(UTC_TIME))
    future = world.interactions.head(400).with_columns(event_ts=pl.lit(moment + late).cast(UTC_TIME), value=4321.0)
    told = replace(world, interactions=pl.concat([world.interactions, future]))
    assert point_in_time_join(spine, told, entity).equals(point_in_time_join(spine, world, entity))
    just_before = future.with_columns(event_ts=pl.lit(moment - timedelta(microseconds=1)).cast(UTC_TIME))
    known = replace(world, interactions=pl.concat([world.interactions, just_before]))
    assert not point_in_time_join(spine, known, entity).equals(point_in_time_join(spine, world, entity))


@pytest.mark.parametrize("n_large", [9, 10])
def test_values_that_64_bits_cannot_add_up_are_refused_and_what_they_can_is_exact(n_large):
    values = np.concatenate([np.full(n_large, 10**18), np.zeros(50, np.int64)])
    moments_us = np.arange(len(values), dtype=np.int64)
    runs = EventRuns(np.zeros(len(values), np.int32), moments_us, values, np.arange(len(values)) < n_large, 1)
    spans = runs.spans(Moments(np.zeros(1, np.int32), np.array([100]), 1), 1000)
    if n_large == 9:
        assert runs.aggregate(AggregateFunction.MEAN_VALUE, spans).tolist() == [10**15]
    else:
        with pytest.raises(SourceError, match=r"of 60 events add up to 1e\+16"):
            runs.aggregate(AggregateFunction.MEAN_VALUE, spans)


def test_times_of_the_last_century_and_of_the_next_are_told_apart():
    far = [datetime(1971, 1, 1, tzinfo=UTC), datetime(2090, 1, 1, tzinfo=UTC)]
    moments_us = np.array([int(moment.timestamp() * 1e6) for moment in far], np.int64)
    runs = EventRuns(np.zeros(2, np.int32), moments_us, moments_us, np.ones(2, bool), 1)
    spans = runs.spans(Moments(np.zeros(1, np.int32), moments_us[1:] + 1, 1), MICROSECONDS_PER_DAY)
    assert runs.aggregate(AggregateFunction.COUNT, spans).tolist() == [1]
