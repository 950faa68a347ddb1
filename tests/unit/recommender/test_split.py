from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from contracts.errors import DataTooSmall, SettingsError
from contracts.settings.features import FeatureSettings
from recommender.split import TimeSplit, rolling_splits, time_split

START = datetime(2020, 1, 1, tzinfo=UTC)


def second(number: int) -> datetime:
    return START + timedelta(seconds=number)


def events(seconds: list[int], event_type: str = "view") -> pl.DataFrame:
    return pl.DataFrame({"event_type": [event_type] * len(seconds), "event_ts": [second(at) for at in seconds]})


def settings(**changes: float) -> FeatureSettings:
    values = {
        "train_share": 0.6,
        "validation_share": 0.2,
        "n_snapshots": 2,
        "snapshot_step_share": 0.2,
        "history_length": 10,
    }
    return FeatureSettings(**{**values, **changes})


def test_ten_events_are_cut_before_the_seventh_and_the_ninth():
    split = time_split(events(list(range(10))), settings())
    assert split.train_end == second(6)
    assert split.test_start == second(8)
    assert split.as_of == second(10)  # one second after the last event, at second 9


def test_snapshots_go_back_from_the_end_of_each_cutoff_in_equal_shares():
    split = time_split(events(list(range(10))), settings())
    assert split.snapshots == {"test": (second(4), second(6)), "all": (second(6), second(8))}


def test_label_windows_touch_and_end_where_the_cutoff_ends():
    split = time_split(events(list(range(10))), settings())
    assert split.label_windows("test") == [(second(4), second(6)), (second(6), second(8))]
    assert split.label_windows("all") == [(second(6), second(8)), (second(8), second(10))]


def test_the_order_of_rows_changes_nothing():
    rows = events(list(range(10)))
    assert time_split(rows.reverse(), settings()) == time_split(rows, settings())


def test_impressions_do_not_move_the_split():
    shown = events([100] * 50, "impression")
    assert time_split(pl.concat([events(list(range(10))), shown]), settings()) == time_split(
        events(list(range(10))), settings()
    )


def test_shares_a_hair_short_in_floating_point_cut_no_event_early():
    # 0.57 * 100 is 56.99999999999999: fifty-seven hundredths of a hundred events are 57.
    split = time_split(events(list(range(100))), settings(train_share=0.57, validation_share=0.3))
    assert split.train_end == second(57)


def test_a_split_survives_json():
    split = time_split(events(list(range(10))), settings())
    assert TimeSplit.from_json({**split.to_json(), "counts": {"n_interactions": 10}}) == split


def test_events_all_at_one_moment_are_too_few_to_split():
    with pytest.raises(DataTooSmall, match="do not follow one another"):
        time_split(events([5] * 30), settings())


def test_no_events_are_too_few_to_split():
    with pytest.raises(DataTooSmall, match="no interactions"):
        time_split(events([]), settings())


def test_snapshots_that_begin_before_the_data_are_a_mistake_in_the_settings():
    with pytest.raises(SettingsError, match=r"5 snapshots, 0\.2"):
        time_split(events(list(range(10))), settings(n_snapshots=5))


def test_the_last_rolling_window_is_that_of_the_stages():
    happened = events(list(range(100)))
    last, split = rolling_splits(happened, settings(), 2)[-1], time_split(happened, settings())
    assert (last.test_start, last.as_of) == (split.test_start, split.as_of)
    assert last.snapshots == {"test": split.snapshots["test"], "all": ()}


def test_each_rolling_window_has_as_many_events_and_ends_where_the_next_begins():
    splits = rolling_splits(events(list(range(100))), settings(snapshot_step_share=0.1), 3)
    assert [(split.test_start, split.as_of) for split in splits] == [
        (second(40), second(60)),
        (second(60), second(80)),
        (second(80), second(100)),
    ]


def test_a_rolling_window_is_the_split_of_data_that_ended_there():
    first, _ = rolling_splits(events(list(range(100))), settings(), 2)
    # Of 80 events the last 20 are the window: 3 / 4 are before it, 0.2 of them for validation.
    alone = time_split(events(list(range(80))), settings(train_share=3 / 4 - 0.2))
    assert first == replace(alone, snapshots={"test": alone.snapshots["test"], "all": ()})


def test_events_of_the_moment_at_which_a_window_begins_are_not_of_the_one_before():
    # The cut falls between the two events of second 8: both are of the last window.
    first, last = rolling_splits(events([0, 1, 2, 3, 4, 5, 6, 7, 8, 8]), settings(train_share=0.7), 2)
    assert last.test_start == second(8)
    assert first.as_of == second(8)


def test_rolling_windows_that_leave_nothing_to_learn_from_are_refused():
    with pytest.raises(DataTooSmall, match="5 windows of 20 events"):
        rolling_splits(events(list(range(100))), settings(snapshot_step_share=0.05), 5)
