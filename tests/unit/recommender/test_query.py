from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from contracts.features import History
from recommender.query import QueryBatch, RetrievalQuery


def query(history: list[int], stated: tuple[int, ...] = (), anchor: int | None = None) -> RetrievalQuery:
    n_events = len(history)
    events = History.without_types(
        np.array(history, np.int32), np.arange(n_events), np.full(n_events, np.nan, np.float32)
    )
    return RetrievalQuery(100, events, anchor=anchor, preferred_items=np.array(stated, np.int32))


def taste(one: RetrievalQuery, latest: int = 100) -> list[int]:
    return QueryBatch.of([one]).taste_items.latest(latest).item_idx.tolist()


def test_an_item_touched_twice_stands_where_it_was_touched_last():
    assert taste(query([4, 7, 4, 9])) == [7, 4, 9]


def test_the_latest_items_are_the_last_distinct_ones():
    assert taste(query([4, 7, 4, 9, 9]), 2) == [4, 9]
    assert taste(query([4, 7]), 5) == [4, 7]


def test_stated_items_come_before_what_was_done():
    assert taste(query([4, 7], stated=(9, 4))) == [9, 4, 7]


def test_beside_an_item_only_that_item_speaks():
    assert taste(query([4, 7], stated=(9,), anchor=3)) == [3]


def test_unknown_items_say_nothing():
    assert taste(query([-1, 4, -1])) == [4]
    assert taste(query([], anchor=-1)) == []


@given(st.lists(st.integers(-1, 6)), st.integers(1, 10))
def test_the_items_are_distinct_known_and_at_most_as_many_as_asked(history, latest):
    items = taste(query(history), latest)
    assert len(items) == len(set(items)) == min(latest, len(set(history) - {-1}))
    assert set(items) <= set(history) - {-1}
