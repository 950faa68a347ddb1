"""Values of fresher data, cut to what a release knows."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from contracts.features import Entity
from contracts.id_map import IdMap
from feature_store.values.restricted_values import restrict_to_items
from tests.unit.feature_store.worlds import generation, ids_of

VALUES = generation()


def test_values_of_exactly_the_items_of_the_release_are_left_as_they_are():
    restricted = restrict_to_items(VALUES, ids_of(VALUES))
    assert restricted.values.generation_id == VALUES.generation_id
    assert (restricted.new_items, restricted.absent_items, restricted.n_events_left_out) == ((), (), 0)


def test_an_item_the_data_lacks_gets_a_row_in_which_everything_is_missing():
    restricted = restrict_to_items(VALUES, IdMap.of([*ids_of(VALUES).ids, "i-gone"]))
    assert restricted.absent_items == ("i-gone",)
    assert restricted.values.items.filter(pl.col("item_id") == "i-gone").rows() == [("i-gone", None, None)]
    assert tuple(ids_of(restricted.values).ids) == (*sorted([*ids_of(VALUES).ids, "i-gone"]),)


def test_whoever_only_touched_new_items_keeps_features_and_an_empty_history():
    histories = pl.DataFrame(
        {
            "user_id": ["u3", "u10"],
            "item_ids": [["i2", "i7"], ["i7"]],
            "event_ts": [[1, 2], [3]],
            "event_types": [[4, 1], [2]],
            "values": [[1.0, 2.0], [3.0]],
        }
    )
    restricted = restrict_to_items(replace(VALUES, histories=histories), IdMap.of(["i2"]))
    assert restricted.values.histories.rows() == [("u10", [], [], [], []), ("u3", ["i2"], [1], [4], [1.0])]
    assert restricted.n_events_left_out == 2
    assert restricted.values.ids(Entity.USER) == VALUES.ids(Entity.USER)


def test_what_a_history_is_too_short_to_hold_is_cut_to_the_same_items():
    histories = VALUES.histories.with_columns(
        older_item_ids=pl.lit(["i2", "i7"]),
        older_event_ts=pl.lit([5, 6]),
        older_event_types=pl.lit([1, 4], pl.List(pl.UInt8)),
    )
    whole = replace(VALUES, histories=histories)
    assert whole.generation_id != VALUES.generation_id
    restricted = restrict_to_items(whole, IdMap.of(["i7"])).values.histories
    assert restricted.select("older_item_ids", "older_event_ts", "older_event_types").unique().rows() == [
        (["i7"], [6], [4])
    ]


@given(st.sets(st.sampled_from(ids_of(VALUES).ids)), st.sets(st.sampled_from(["x1", "x2", "x3"])))
def test_the_restricted_values_are_of_exactly_the_items_asked_for_and_every_event_is_kept_or_counted(known, unheard):
    wanted = IdMap.of([*known, *unheard])
    restricted = restrict_to_items(VALUES, wanted)
    assert ids_of(restricted.values) == wanted
    assert set(restricted.new_items) == set(ids_of(VALUES).ids) - known
    events = [item_id for items in VALUES.histories["item_ids"].to_list() for item_id in items]
    kept = [item_id for items in restricted.values.histories["item_ids"].to_list() for item_id in items]
    assert kept == [item_id for item_id in events if item_id in known]
    assert restricted.n_events_left_out == len(events) - len(kept)
    assert restricted.values.histories["user_id"].to_list() == VALUES.histories["user_id"].to_list()
