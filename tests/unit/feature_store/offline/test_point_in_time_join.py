from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.features import Entity
from contracts.returns import without_taken_back
from contracts.tables import INTERACTIONS_SCHEMA, ITEMS_SCHEMA, USERS_SCHEMA, UTC_TIME, CanonicalTables
from feature_store.definitions import features_of
from feature_store.offline import offline_store
from feature_store.offline.engines import DuckdbFeatureEngine
from feature_store.offline.offline_store import learn_schema, point_in_time_join, point_in_time_joins, values_as_of
from tests.unit.feature_store.oracle import features_at

AS_OF = datetime(2021, 3, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)
SIGNUP = AS_OF - timedelta(days=30)
ATTRIBUTES = [(1990, 12.5, AS_OF - timedelta(days=9)), (2000, 40.0, AS_OF), (None, None, None)]
GENRES = {"i7": ["drama"], "i8": ["drama", "comedy"], "i9": []}


def tables(events: list[tuple], users: dict[str, tuple] | None = None) -> CanonicalTables:
    """events: (user_id, item_id, event_ts, value[, event_type]); users: id to (age, gender)."""
    rows = [
        {
            "user_id": user_id,
            "item_id": item_id,
            "event_type": kind[0] if kind else "rating",
            "event_ts": event_ts,
            "value": value,
            "session_id": None,
            "request_id": None,
        }
        for user_id, item_id, event_ts, value, *kind in events
    ]
    people = users or {}
    return CanonicalTables(
        pl.DataFrame(rows, schema=INTERACTIONS_SCHEMA),
        pl.DataFrame(
            [
                {
                    "item_id": item_id,
                    "title": item_id,
                    "categories": genres,
                    "release_year": year,
                    "price": price,
                    "created_ts": created,
                }
                for (item_id, genres), (year, price, created) in zip(GENRES.items(), ATTRIBUTES, strict=True)
            ],
            schema=ITEMS_SCHEMA,
        ),
        pl.DataFrame(
            [
                {"user_id": user_id, "age": age, "gender": gender, "signup_ts": SIGNUP}
                for user_id, (age, gender) in people.items()
            ],
            schema=USERS_SCHEMA,
        ),
    )


def spine(*rows: tuple[str, datetime], key: str = "user_id") -> pl.DataFrame:
    return pl.DataFrame(rows, schema={key: pl.String(), "as_of": UTC_TIME}, orient="row")


def joined(*rows, events, entity=Entity.USER, users=None) -> pl.DataFrame:
    return point_in_time_join(spine(*rows, key=f"{entity}_id"), tables(events, users), entity, n_threads=1)


@pytest.mark.parametrize(
    ("moment", "counted"),
    [(AS_OF - TICK, 1), (AS_OF, 0), (AS_OF + TICK, 0)],
    ids=["just before", "on", "just after"],
)
def test_an_event_counts_when_it_is_strictly_before_as_of(moment, counted):
    row = joined(("u1", AS_OF), events=[("u1", "i7", moment, 4.0)]).row(0, named=True)
    assert row["user_event_count_1d"] == counted
    assert row["user_event_count_total"] == counted
    assert row["user_value_mean_total"] == (4.0 if counted else None)


@pytest.mark.parametrize("days", [1, 7, 30, 90, 365])
@pytest.mark.parametrize(
    ("shift", "counted"), [(-TICK, 0), (timedelta(0), 1), (TICK, 1)], ids=["just outside", "on", "just inside"]
)
def test_a_window_reaches_back_to_its_first_moment_and_no_further(days, shift, counted):
    moment = AS_OF - timedelta(days=days) + shift
    row = joined(("u1", AS_OF), events=[("u1", "i7", moment, 4.0)]).row(0, named=True)
    assert row[f"user_event_count_{days}d"] == counted
    assert row["user_event_count_total"] == 1


def test_the_rows_their_number_order_duplicates_and_other_columns_are_kept():
    left = spine(("u2", AS_OF), ("u1", AS_OF), ("u2", AS_OF), ("nobody", AS_OF), ("u1", AS_OF - timedelta(days=3)))
    left = left.with_columns(label=pl.Series([5, 4, 3, 2, 1]))
    before = left.clone()
    events = [("u1", "i7", AS_OF - timedelta(days=2), 4.0), ("u2", "i8", AS_OF - timedelta(days=5), 2.0)]
    found = point_in_time_join(left, tables(events * 3), Entity.USER)
    assert found.select(left.columns).equals(left)
    assert found["user_event_count_total"].to_list() == [3, 3, 3, 0, 0]
    assert left.equals(before)


def test_nothing_counted_is_zero_and_nothing_measured_is_missing():
    row = joined(("u1", AS_OF), events=[("u2", "i7", AS_OF - TICK, 4.0)]).row(0, named=True)
    assert row["user_event_count_30d"] == 0
    assert row["user_category_count_total"] == 0
    assert row["user_value_mean_total"] is None
    assert row["user_event_recency_days_total"] is None
    assert row["user_age"] is None


def test_what_was_shown_is_not_what_was_wanted():
    events = [("u1", "i7", AS_OF - TICK, None, "impression"), ("u1", "i7", AS_OF - TICK, None, "signup")]
    assert joined(("u1", AS_OF), events=events)["user_event_count_total"].item() == 0


def test_means_spreads_and_shares_by_hand():
    events = [
        ("u1", "i7", AS_OF - timedelta(days=40), 5.0),
        ("u1", "i8", AS_OF - timedelta(days=10), 2.0),
        ("u1", "i8", AS_OF - timedelta(days=4), None),
    ]
    row = joined(("u1", AS_OF), events=events, users={"u1": (33, "F")}).row(0, named=True)
    assert row["user_value_mean_total"] == (5 + 2) / 2
    assert row["user_value_std_total"] == (5 - 2) / 2
    assert row["user_value_mean_30d"] == 2.0
    assert row["user_event_recency_days_total"] == 4
    assert row["user_event_tenure_days_total"] == 40
    assert row["user_release_year_mean_total"] == np.float32((1990 + 2000 + 2000) / 3)
    # drama three times, comedy twice
    assert row["user_category_share_max_total"] == np.float32(3 / 5)
    assert row["user_category_concentration_total"] == np.float32((3 / 5) ** 2 + (2 / 5) ** 2)
    assert (row["user_age"], row["user_gender_female"]) == (33, 1)


def test_an_items_audience_and_trend_by_hand():
    events = [
        ("u1", "i7", AS_OF - timedelta(days=3), 4.0),
        ("u2", "i7", AS_OF - timedelta(days=20), 4.0),
        ("u2", "i7", AS_OF - timedelta(days=25), 4.0),
        ("u3", "i7", AS_OF - timedelta(days=300), 4.0),
    ]
    people = {"u1": (20, "F"), "u2": (30, "M"), "u3": (50, "X")}
    row = joined(("i7", AS_OF), events=events, users=people, entity=Entity.ITEM).row(0, named=True)
    assert row["item_user_count_total"] == 3
    assert row["item_user_age_mean_total"] == (20 + 30 + 30 + 50) / 4
    assert row["item_user_female_share_total"] == np.float32((1 + 0 + 0) / 3)
    assert row["item_event_trend_7d_of_30d"] == np.float32(1 / 3)
    assert row["item_event_trend_30d_of_365d"] == 3 / 4
    assert row["item_release_age_years"] == pytest.approx(2021 + 2 / 12 - 1990, abs=0.01)


def test_values_too_large_to_add_up_are_cut():
    row = joined(("u1", AS_OF), events=[("u1", "i7", AS_OF - TICK, 1e30)]).row(0, named=True)
    assert row["user_value_mean_total"] == 1_000_000_000
    assert row["user_value_std_total"] == 0


def test_the_spread_of_large_values_that_differ_little_is_exact():
    paid = (700_000_000.0, 700_000_003.0, 700_000_000.0, 700_000_003.0)
    row = joined(("u1", AS_OF), events=[("u1", "i7", AS_OF - TICK, value) for value in paid]).row(0, named=True)
    assert row["user_value_std_total"] == 1.5


BOUGHT, RETURNED = AS_OF - timedelta(days=10), AS_OF - timedelta(days=4)
SALES = [
    ("u1", "i8", BOUGHT - timedelta(days=20), 30.0, "purchase"),
    ("u1", "i8", BOUGHT, 40.0, "purchase"),
    ("u1", "i8", RETURNED, 40.0, "return"),
]


@pytest.mark.parametrize(
    ("moment", "stands"),
    [(RETURNED - TICK, True), (RETURNED, True), (RETURNED + TICK, False)],
    ids=["just before", "on", "just after"],
)
def test_a_purchase_counts_until_it_is_taken_back_and_then_not_at_all(moment, stands):
    since = {bought: (moment - bought) / timedelta(days=1) for bought in (BOUGHT, BOUGHT - timedelta(days=20))}
    row = joined(("u1", moment), events=SALES).row(0, named=True)
    assert row["user_event_count_7d"] == (1 if stands else 0)
    assert row["user_purchase_count_30d"] == (2 if stands else 1)
    assert row["user_event_count_total"] == (2 if stands else 1)
    assert row["user_value_mean_total"] == ((30 + 40) / 2 if stands else 30)
    assert row["user_value_std_total"] == ((40 - 30) / 2 if stands else 0)
    assert row["user_purchase_rate_365d"] == np.float32(((2 if stands else 1) + 20 * 0.015) / 20)
    assert row["user_purchase_recency_days_total"] == np.float32(min(since.values()) if stands else max(since.values()))
    assert row["user_event_tenure_days_total"] == np.float32(max(since.values()))
    item = joined(("i8", moment), events=SALES, entity=Entity.ITEM).row(0, named=True)
    assert item["item_event_trend_7d_of_30d"] == (1 / 2 if stands else 0)
    assert item["item_value_mean_90d"] == (35 if stands else 30)
    assert item["item_user_count_total"] == 1


def test_where_everything_was_taken_back_nothing_ever_happened():
    world = tables(SALES[1:])
    for entity, entity_id in ((Entity.USER, "u1"), (Entity.ITEM, "i8")):
        asked = spine((entity_id, AS_OF), key=f"{entity}_id")
        assert point_in_time_join(asked, world, entity).equals(point_in_time_join(asked, tables([]), entity))


@pytest.mark.parametrize("entity", list(Entity))
def test_a_return_that_takes_nothing_back_changes_no_bit(world, entity):
    key = f"{entity}_id"
    unasked = world.interactions.with_columns(event_type=pl.lit("return"))
    told = replace(world, interactions=pl.concat([world.interactions, unasked]))
    left = world.interactions.select(key, as_of="event_ts").gather_every(7)
    assert point_in_time_join(left, told, entity).equals(point_in_time_join(left, world, entity))


@pytest.mark.parametrize("entity", list(Entity))
def test_after_all_returns_a_shop_is_as_if_what_came_back_had_never_been_sold(shop, entity):
    key, end = f"{entity}_id", shop.interactions["event_ts"].max() + TICK
    left = shop.interactions.select(pl.col(key).unique().sort()).with_columns(as_of=pl.lit(end))
    kept = replace(shop, interactions=without_taken_back(shop.interactions))
    assert len(shop.interactions) - len(kept.interactions) > 500
    assert point_in_time_join(left, shop, entity).equals(point_in_time_join(left, kept, entity))


MOMENTS = st.sampled_from(
    [
        AS_OF + shift - timedelta(days=days)
        for days in (0, 1 / 24, 0.25, 0.5, 1, 2, 6, 7, 8, 30, 31, 90, 364, 365, 400)
        for shift in (-TICK, timedelta(0), TICK)
    ]
)
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["u1", "u2"]),
        st.sampled_from(list(GENRES)),
        MOMENTS,
        st.one_of(st.none(), st.integers(1, 10).map(lambda halves: halves / 2)),
        st.sampled_from(["rating", "view", "click", "add_to_cart", "purchase", "purchase", "return", "impression"]),
    ),
    max_size=25,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(EVENTS, st.sampled_from(list(Entity)), st.lists(MOMENTS, min_size=4, max_size=8))
def test_the_join_agrees_with_a_plain_loop_over_all_events(events, entity, moments):
    world = tables(events, {"u1": (33, "F"), "u2": (None, "M")})
    ids = ["u2", "u1", "nobody"] if entity is Entity.USER else list(GENRES)
    left = spine(*((entity_id, moment) for moment in moments for entity_id in ids), key=f"{entity}_id")
    found = point_in_time_join(left, world, entity)
    for row in found.iter_rows(named=True):
        expected = features_at(world, str(entity), row[f"{entity}_id"], row["as_of"])
        assert {feature.name for feature, _ in features_of(entity)} == set(expected)
        assert _numeric_values(row, expected) == pytest.approx(
            _numeric_values(expected, expected), rel=1e-5, abs=1e-4, nan_ok=True
        )


def _numeric_values(row: dict, names: Iterable[str]) -> dict[str, float]:
    return {name: float("nan") if row[name] is None else row[name] for name in names}


def test_the_number_of_threads_changes_no_bit(world):
    as_of = world.interactions["event_ts"][900]
    generations = {values_as_of(world, as_of, 50, n_threads=n).generation_id for n in (1, 2, 7)}
    assert len(generations) == 1


def test_an_engine_that_has_little_memory_goes_on_from_disk_and_changes_no_bit(world):
    as_of = world.interactions["event_ts"][900]
    generations = {values_as_of(world, as_of, 50, memory_gib=gib).generation_id for gib in (None, 1 / 32)}
    assert len(generations) == 1
    with DuckdbFeatureEngine(memory_gib=1 / 32) as engine:
        (limit,) = engine._connection.raw_sql("SELECT current_setting('memory_limit')").fetchone()
    assert limit == "32.0 MiB"


def test_the_order_of_the_events_changes_no_bit(world):
    as_of = world.interactions["event_ts"][900]
    shuffled = CanonicalTables(
        world.interactions.sample(fraction=1.0, shuffle=True, seed=9), world.items.reverse(), world.users.reverse()
    )
    assert values_as_of(shuffled, as_of, 50).generation_id == values_as_of(world, as_of, 50).generation_id


def test_latest_values_are_the_join_at_as_of(world):
    as_of = world.interactions["event_ts"][700]
    values = values_as_of(world, as_of, history_length=5)
    for entity, ids in ((Entity.USER, ["u503", "u500"]), (Entity.ITEM, ["i1007", "i1000"])):
        asked = spine(*((entity_id, as_of) for entity_id in ids), key=f"{entity}_id")
        expected = point_in_time_join(asked, world, entity).drop("as_of")
        found = values.rows(entity).filter(pl.col(f"{entity}_id").is_in(ids)).sort(f"{entity}_id", descending=True)
        assert found.equals(expected.sort(f"{entity}_id", descending=True))


@pytest.mark.parametrize("n_together", [1, 2, 3])
def test_a_spine_in_portions_is_joined_as_the_whole_of_it(world, monkeypatch, n_together):
    monkeypatch.setattr(offline_store, "JOINED_TOGETHER", n_together * (3 + world.interactions.height))
    early, later, late = (world.interactions["event_ts"][at] for at in (300, 600, 900))
    for entity, ids in ((Entity.USER, ["u503", "u500", "nobody"]), (Entity.ITEM, ["i1007", "i1000"])):
        portions = [spine(*((one, as_of) for one in ids), key=f"{entity}_id") for as_of in (early, later, late)]
        portions[1] = portions[1][:1]
        whole = point_in_time_join(pl.concat(portions), world, entity)
        joined = list(point_in_time_joins(portions, world, entity))
        assert [part.height for part in joined] == [part.height for part in portions]
        assert pl.concat(joined).equals(whole)


def test_small_spines_are_joined_together_and_a_large_one_alone(monkeypatch):
    monkeypatch.setattr(offline_store, "JOINED_TOGETHER", 10)
    lengths = (2, 3, 20, 1, 4, 5)
    spines = [pl.DataFrame({"user_id": ["u"] * n}) for n in lengths]
    groups = offline_store._joined_together(spines, n_events=1)
    assert [[one.height for one in group] for group in groups] == [[2, 3], [20], [1, 4], [5]]


def test_latest_values_hold_everybody_with_a_past_and_the_whole_catalogue():
    events = [("u2", "i7", AS_OF - TICK, 1.0), ("u1", "i8", AS_OF, 1.0)]
    values = values_as_of(tables(events, {"u3": (20, "F")}), AS_OF, 10)
    assert values.ids(Entity.USER) == ["u2"]
    assert values.ids(Entity.ITEM) == ["i7", "i8", "i9"]


def test_a_history_is_the_latest_events_strictly_before_as_of_oldest_first():
    ages = (0, 1, 2, 3, 4)
    events = [("u1", "i7" if age % 2 else "i8", AS_OF - timedelta(seconds=age), float(age)) for age in ages]
    values = values_as_of(tables(events), AS_OF, history_length=3)
    (row,) = values.histories.iter_rows(named=True)
    end = int(AS_OF.timestamp())
    assert row["event_ts"] == [end - 3, end - 2, end - 1]
    assert row["item_ids"] == ["i7", "i8", "i7"]
    assert row["values"] == [3.0, 2.0, 1.0]


def test_a_default_is_the_median_of_training_and_zero_for_counts():
    training = joined(
        ("u1", AS_OF),
        ("u2", AS_OF),
        ("u3", AS_OF),
        events=[("u1", "i7", AS_OF - TICK, 1.0), ("u2", "i7", AS_OF - TICK, 4.0)],
    )
    schema = learn_schema(training, Entity.USER)
    defaults = dict(zip(schema.names, schema.defaults, strict=True))
    assert defaults["user_value_mean_total"] == (1 + 4) / 2
    assert defaults["user_event_count_total"] == 0


def test_a_feature_that_training_says_nothing_of_is_left_out_with_what_rests_on_it():
    asked = [("u1", AS_OF), ("u2", AS_OF)]
    rated = learn_schema(joined(*asked, events=[("u1", "i7", AS_OF - TICK, 1.0)]), Entity.USER).names
    assert "user_value_mean_total" in rated
    assert not {"user_age", "user_purchase_count_7d", "user_purchase_rate_365d"} & set(rated)
    bought = learn_schema(joined(*asked, events=[("u1", "i7", AS_OF - TICK, 1.0, "purchase")]), Entity.USER).names
    assert {"user_purchase_count_7d", "user_purchase_rate_365d"} <= set(bought)
    assert "user_add_to_cart_rate_365d" not in bought


def test_prices_rates_and_ages_by_hand():
    day = timedelta(days=1)
    events = [
        *[("u1", "i7", AS_OF - age * day, None, "view") for age in (1, 2, 40)],
        ("u1", "i8", AS_OF - 2 * day, None, "click"),
        ("u1", "i8", AS_OF - 2 * day, 40.0, "purchase"),
    ]
    row = joined(("u1", AS_OF), events=events, users={"u1": (33, "F")}).row(0, named=True)
    assert row["user_view_count_30d"] == 2
    assert row["user_purchase_rate_365d"] == np.float32((1 + 20 * 0.015) / (3 + 1 + 20))
    assert row["user_price_mean_total"] == np.float32((3 * 12.5 + 2 * 40) / 5)
    assert row["user_purchase_price_mean_365d"] == 40
    assert row["user_purchase_recency_days_total"] == 2
    assert row["user_add_to_cart_recency_days_total"] is None
    assert row["user_account_age_days"] == 30


def test_an_item_that_is_not_there_yet_has_no_age():
    found = joined(("i7", AS_OF), ("i8", AS_OF), ("i8", AS_OF + TICK), events=[], entity=Entity.ITEM)
    assert found["item_age_days"].to_list() == [9, None, pytest.approx(0, abs=1e-6)]
