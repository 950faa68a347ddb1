"""What a profile tells of a table, and whom it never names."""

import json
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.drift import table_drift
from contracts.profiles import write_profile
from contracts.settings.drift import DriftSettings
from contracts.tables import SCHEMAS
from sources.validation.profile_build import LEAST_NAMED, MAX_CATEGORIES, N_QUANTILES, build_profile
from tests.worlds import small_world

LIMITS = DriftSettings(warn_psi=0.1, max_psi=0.25, warn_category_share=0.01, max_category_share=0.2, min_rows=1)


def profile_of(column, values, kind):
    return build_profile(pl.LazyFrame({column: pl.Series(values, dtype=kind)}))[column]


@pytest.mark.parametrize("name", ["interactions", "items", "users"])
def test_every_column_of_every_table_has_a_profile_of_all_its_rows(name):
    table = getattr(small_world(n_events=200), name)
    profile = build_profile(table.lazy())
    assert list(profile) == list(SCHEMAS[name])
    assert all(column.total >= len(table) for column in profile.values())


def test_a_table_without_rows_has_none():
    assert build_profile(pl.LazyFrame(schema=SCHEMAS["users"])) == {}


def test_few_numbers_are_counted_one_by_one():
    found = profile_of("value", [3.0, 1.0, 3.0, None, float("nan"), float("inf")], pl.Float64)
    assert (found.uppers, found.counts, found.missing, found.exact) == ([1.0, 3.0], [1, 2], 3, True)


def test_many_numbers_are_told_by_quantiles_that_count_every_row():
    found = profile_of("price", list(range(10_000)), pl.Float64)
    assert not found.exact
    assert len(found.uppers) == N_QUANTILES + 1
    assert (found.uppers[0], found.uppers[-1], sum(found.counts)) == (0.0, 9999.0, 10_000)
    assert max(found.counts) <= 10_000 / N_QUANTILES + 1


def test_times_are_told_by_their_hour_alone():
    moments = [datetime(2024, 1, day, 9, day, tzinfo=UTC) for day in range(1, 6)]
    found = profile_of("event_ts", [*moments, None], pl.Datetime("us", "UTC"))
    assert (found.counts[9], sum(found.counts), found.missing) == (5, 5, 1)


def test_a_word_that_few_have_is_counted_and_not_named():
    found = profile_of("occupation", ["poet"] * LEAST_NAMED + ["astronaut"] * (LEAST_NAMED - 1) + [None], pl.String)
    assert (found.counts, found.other, found.missing) == ({"poet": LEAST_NAMED}, LEAST_NAMED - 1, 1)


def test_of_many_categories_the_most_common_are_named():
    words = [f"w{one}" for one in range(MAX_CATEGORIES + 5) for _ in range(LEAST_NAMED + (one < MAX_CATEGORIES))]
    found = profile_of("device", words, pl.String)
    assert len(found.counts) == MAX_CATEGORIES
    assert found.other == 5 * LEAST_NAMED


def test_each_category_of_an_item_counts_and_none_is_missing():
    found = profile_of("categories", [["a", "b"]] * 10 + [[], None], pl.List(pl.String))
    assert (found.counts, found.missing) == ({"a": 10, "b": 10}, 2)


def test_no_id_and_no_text_of_anybody_stands_in_a_profile():
    tables = small_world(n_events=500)
    told = json.dumps({name: write_profile(build_profile(getattr(tables, name).lazy())) for name in SCHEMAS})
    ids = [*tables.users["user_id"], *tables.items["item_id"], *tables.items["title"]]
    assert not [one for one in ids if f'"{one}"' in told]


@given(st.integers(0, 1000))
def test_a_shuffled_table_has_not_moved(seed):
    tables = small_world(n_events=200)
    for name in SCHEMAS:
        table = getattr(tables, name)
        then, now = (build_profile(one.lazy()) for one in (table, table.sample(fraction=1.0, shuffle=True, seed=seed)))
        assert now == then
        assert all(drift.psi == 0.0 for drift in table_drift(name, then, now, LIMITS))
