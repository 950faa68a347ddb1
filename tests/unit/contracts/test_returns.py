"""What was taken back is not learnt from, from the moment on at which it was."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from contracts.returns import with_taken_back_ts, without_taken_back

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
Row = tuple[str | None, str, str, int]


def events(*rows: Row, values: list[float | None] | None = None) -> pl.DataFrame:
    """Rows of (person, item, type, minute)."""
    listed = [(user, item, kind, NOON.replace(minute=minute)) for user, item, kind, minute in rows]
    table = pl.DataFrame(
        listed,
        schema={
            "user_id": pl.String,
            "item_id": pl.String,
            "event_type": pl.String,
            "event_ts": pl.Datetime("us", "UTC"),
        },
        orient="row",
    )
    return table if values is None else table.with_columns(value=pl.Series(values, dtype=pl.Float64))


def left(*rows: Row) -> list[tuple[str, int]]:
    kept = without_taken_back(events(*rows))
    return [(kind, moment.minute) for kind, moment in kept.select("event_type", "event_ts").iter_rows()]


def taken_back_at(table: pl.DataFrame) -> list[int | None]:
    """By row, the minute at which it was taken back."""
    return [moment and moment.minute for moment in with_taken_back_ts(table)["taken_back_ts"]]


def test_a_return_takes_back_the_latest_purchase_before_it():
    rows = [("u", "a", "purchase", 1), ("u", "a", "purchase", 5), ("u", "a", "return", 7), ("u", "a", "purchase", 9)]
    assert left(*rows) == [("purchase", 1), ("purchase", 9)]
    assert taken_back_at(events(*rows)) == [None, 7, None, None]


def test_two_returns_take_back_two_purchases_and_a_third_finds_none():
    bought = [("u", "a", "purchase", 1), ("u", "a", "purchase", 2)]
    rows = [*bought, *[("u", "a", "return", minute) for minute in (3, 4, 5)]]
    assert left(*rows) == [("return", 5)]
    assert taken_back_at(events(*rows)) == [4, 3, None, None, None]


def test_a_return_that_found_nothing_takes_back_no_later_purchase():
    rows = [("u", "a", "return", 1), ("u", "a", "purchase", 2), ("u", "a", "purchase", 3), ("u", "a", "return", 4)]
    assert taken_back_at(events(*rows)) == [None, None, 4, None]


def test_of_one_moment_the_purchase_comes_first_whatever_the_order_of_the_rows():
    assert left(("u", "a", "return", 3), ("u", "a", "purchase", 3)) == []


def test_of_several_purchases_of_one_moment_the_dearest_goes_back_whatever_the_order_of_the_rows():
    bought = [("u", "a", "purchase", 3)] * 4
    table = events(*bought, ("u", "a", "return", 5), values=[2.0, None, 9.0, float("nan"), 9.0])
    assert taken_back_at(table) == [None, None, 5, None, None]
    assert taken_back_at(table.reverse()) == [None, None, 5, None, None]


def test_another_person_another_item_a_view_and_a_later_purchase_stay():
    others = [("v", "a", "purchase", 1), ("u", "b", "purchase", 1), ("u", "a", "view", 1), ("u", "a", "purchase", 8)]
    back = ("u", "a", "return", 5)
    assert left(*others, back) == [(kind, minute) for _, _, kind, minute in [*others, back]]


def test_before_the_return_the_purchase_is_still_seen():
    whole = events(("u", "a", "purchase", 1), ("u", "a", "return", 5))
    before = whole.filter(pl.col("event_ts") < NOON.replace(minute=5))
    assert without_taken_back(before)["event_type"].to_list() == ["purchase"]


def test_guests_and_rows_of_nobody_are_kept_in_their_order():
    rows = [(None, "b", "view", 9), (None, "a", "return", 5), (None, "a", "purchase", 1), (None, "c", "return", 2)]
    assert left(*rows) == [("view", 9), ("return", 2)]


def test_a_table_without_returns_is_the_same_and_nothing_in_it_was_taken_back():
    whole = events(("u", "a", "purchase", 1), ("u", "a", "view", 5))
    assert without_taken_back(whole) is whole
    assert with_taken_back_ts(whole)["taken_back_ts"].null_count() == 2
    assert with_taken_back_ts(whole[:0]).columns == [*whole.columns, "taken_back_ts"]


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["u", "v", None]),
        st.sampled_from(["a", "b"]),
        st.sampled_from(["purchase", "return", "view"]),
        st.integers(0, 12),
    ),
    max_size=40,
)


def taken_back_one_by_one(rows: list[Row]) -> list[int | None]:
    """As the rule says it: a heap of purchases for each person and item, the latest on top."""
    minutes: list[int | None] = [None] * len(rows)
    standing: dict[tuple[str | None, str], list[int]] = {}
    for at in sorted(range(len(rows)), key=lambda at: (rows[at][3], rows[at][2] == "return")):
        user_id, item_id, kind, minute = rows[at]
        purchases = standing.setdefault((user_id, item_id), [])
        if kind == "purchase":
            purchases.append(at)
        elif kind == "return" and purchases:
            minutes[purchases.pop()] = minute
    return minutes


@given(ROWS)
def test_what_is_taken_back_is_what_a_look_at_one_event_after_the_other_finds(rows):
    assert taken_back_at(events(*rows)) == taken_back_one_by_one(rows)


@given(ROWS, st.integers(0, 13))
def test_what_comes_later_changes_nothing_of_what_was_taken_back_before(rows, minute):
    whole = with_taken_back_ts(events(*rows))
    moment = NOON.replace(minute=minute)
    before = without_taken_back(events(*rows).filter(pl.col("event_ts") < moment))
    known = whole.filter(pl.col("event_ts") < moment, pl.col("event_type") == "purchase")
    stands = pl.col("taken_back_ts").is_null() | (pl.col("taken_back_ts") >= moment)
    purchases = before.filter(pl.col("event_type") == "purchase")
    assert purchases.equals(known.filter(stands).drop("taken_back_ts"))


@given(ROWS)
def test_once_it_is_gone_nothing_more_goes(rows):
    once = without_taken_back(events(*rows))
    assert without_taken_back(once).equals(once)
