from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from bench.coldstart import FEWEST_PEOPLE, Newcomer, _most_known, _newcomers
from contracts.features import History
from contracts.tables import INTERACTIONS_SCHEMA, ITEMS_SCHEMA, CanonicalTables
from tests.worlds import small_world

START = datetime(2021, 3, 1, tzinfo=UTC)


def newcomer(*seconds: int) -> Newcomer:
    n = len(seconds)
    return Newcomer(History.without_types(np.arange(n, dtype=np.int32), np.array(seconds), np.full(n, np.nan)))


def test_newcomers_came_in_the_window_and_each_item_counts_when_it_was_first_touched():
    rows = [
        ("new", "b", "view", START, None, None, None),
        ("new", "b", "view", START + timedelta(minutes=1), None, None, None),
        ("new", "a", "purchase", START + timedelta(minutes=2), None, None, None),
        ("known", "a", "view", START - timedelta(seconds=1), None, None, None),
        ("known", "b", "view", START + timedelta(minutes=1), None, None, None),
    ]
    interactions = pl.DataFrame(rows[::-1], schema=INTERACTIONS_SCHEMA, orient="row")
    items = pl.DataFrame([{"item_id": "b"}, {"item_id": "a"}], schema=ITEMS_SCHEMA)
    (one,) = _newcomers(CanonicalTables(interactions, items, small_world(n_events=10).users), START)
    assert one.first.item_idx.tolist() == [1, 0]
    assert (one.first.event_ts - int(START.timestamp())).tolist() == [0, 120]


def test_a_newcomer_asks_at_their_first_event_and_then_a_second_after_the_last_that_is_known():
    one = newcomer(100, 200, 300)
    assert [one.asks_at(n).timestamp() for n in (0, 1, 2)] == [100, 101, 201]
    assert [len(one.known(n)) for n in (0, 1, 2)] == [0, 1, 2]


def test_as_much_is_known_as_enough_people_go_past():
    long, short = newcomer(*range(11)), newcomer(*range(6))
    assert _most_known([long] * FEWEST_PEOPLE) == 10
    assert _most_known([long] * (FEWEST_PEOPLE - 1) + [short]) == 5
    with pytest.raises(SystemExit, match="--windows"):
        _most_known([newcomer(1)] * FEWEST_PEOPLE)
