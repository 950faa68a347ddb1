"""What was taken back is not learnt from, from the moment on at which it was."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl

from recommender.returns import without_taken_back


def events(*rows: tuple[str, str, str, int]) -> pl.DataFrame:
    """Rows of (person, item, type, minute)."""
    listed = [(user, item, kind, datetime(2024, 1, 1, 12, minute, tzinfo=UTC)) for user, item, kind, minute in rows]
    return pl.DataFrame(listed, schema=["user_id", "item_id", "event_type", "event_ts"], orient="row")


def left(*rows: tuple[str, str, str, int]) -> list[tuple[str, int]]:
    kept = without_taken_back(events(*rows))
    return [(kind, moment.minute) for kind, moment in kept.select("event_type", "event_ts").iter_rows()]


def test_a_return_takes_back_the_latest_purchase_before_it() -> None:
    rows = [("u", "a", "purchase", 1), ("u", "a", "purchase", 5), ("u", "a", "return", 7), ("u", "a", "purchase", 9)]
    assert left(*rows) == [("purchase", 1), ("return", 7), ("purchase", 9)]


def test_two_returns_take_back_two_purchases_and_a_third_finds_none() -> None:
    bought = [("u", "a", "purchase", 1), ("u", "a", "purchase", 2)]
    assert left(*bought, *[("u", "a", "return", minute) for minute in (3, 4, 5)]) == [
        ("return", 3),
        ("return", 4),
        ("return", 5),
    ]


def test_of_one_moment_the_purchase_comes_first_whatever_the_order_of_the_rows() -> None:
    assert left(("u", "a", "return", 3), ("u", "a", "purchase", 3)) == [("return", 3)]


def test_another_person_another_item_a_view_and_a_later_purchase_stay() -> None:
    others = [("v", "a", "purchase", 1), ("u", "b", "purchase", 1), ("u", "a", "view", 1), ("u", "a", "purchase", 8)]
    back = ("u", "a", "return", 5)
    assert left(*others, back) == [(kind, minute) for _, _, kind, minute in [*others, back]]


def test_before_the_return_the_purchase_is_still_seen() -> None:
    whole = events(("u", "a", "purchase", 1), ("u", "a", "return", 5))
    before = whole.filter(pl.col("event_ts") < datetime(2024, 1, 1, 12, 5, tzinfo=UTC))
    assert without_taken_back(before)["event_type"].to_list() == ["purchase"]


def test_guests_and_rows_of_nobody_are_kept_in_their_order() -> None:
    whole = events(("u", "b", "view", 9), ("u", "a", "return", 5), ("u", "a", "purchase", 1)).with_columns(
        user_id=pl.lit(None, pl.String)
    )
    assert without_taken_back(whole)["event_type"].to_list() == ["view", "return"]
