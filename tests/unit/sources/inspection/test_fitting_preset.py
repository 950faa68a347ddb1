"""Which preset an export is like, by construction: orders, news, books."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from sources.inspection.fitting_preset import FittingPreset, fitting_preset

START = datetime(2024, 1, 1, tzinfo=UTC)


def fitting(*rows: tuple[str, str, float]) -> FittingPreset:
    """rows: event type, item, days after the start."""
    table = pl.DataFrame(
        {
            "event_type": [row[0] for row in rows],
            "item_id": [row[1] for row in rows],
            "event_ts": [START + timedelta(days=row[2]) for row in rows],
        }
    )
    return fitting_preset(table)


def read_for(days: float, n_items: int = 30) -> list[tuple[str, str, float]]:
    """A new item a day, each viewed ten times, evenly over so many days, in an export of 40 days."""
    views = [("view", f"a{item}", item + days * part / 9) for item in range(n_items) for part in range(10)]
    return [one for one in views if one[2] <= 40] + [("view", "last", 40.0)]


def test_orders_are_a_shop_whatever_else_there_is() -> None:
    preset = fitting(*read_for(1.0), ("purchase", "a1", 3.0), ("purchase", "a2", 3.0), ("add_to_cart", "a1", 3.0))
    assert preset.name == "shop"
    assert "1 add to cart and 2 purchases" in preset.why


def test_where_people_look_before_they_buy_only_a_purchase_excludes_and_the_counts_say_why() -> None:
    looks = [("view", "a1", 1.0), ("view", "a2", 2.0), ("click", "a2", 2.0)]
    preset = fitting(*looks, ("purchase", "a1", 3.0), ("add_to_cart", "a1", 3.0))
    assert preset.instead == {"request.excluding_events": ["purchase"]}
    assert preset.why_instead["request.excluding_events"].startswith(
        "1 purchase beside 2 views and 1 click and 1 add to cart: "
    )


@pytest.mark.parametrize("rows", [[("purchase", "a1", 3.0)], [("view", "a1", 1.0), ("add_to_cart", "a1", 3.0)]])
def test_without_purchases_beside_looks_nothing_is_said_of_what_excludes(rows: list[tuple[str, str, float]]) -> None:
    preset = fitting(*rows)
    assert preset.name == "shop"
    assert preset.instead == {}


def test_items_that_are_of_interest_for_hours_are_articles_with_the_days_of_this_export() -> None:
    preset = fitting(*read_for(1.8))
    assert preset.name == "articles"
    assert preset.instead == {"candidates.popular.recent_days": 2}  # the eighth of ten views comes after 1.4 days


def test_items_that_stay_of_interest_are_no_articles_and_the_trap_is_named() -> None:
    preset = fitting(*read_for(20.0))
    assert preset.name is None
    assert "`recent_days: 3` of the preset `articles` would forget" in preset.why


def test_of_items_that_were_all_there_at_the_start_nobody_knows_how_they_age() -> None:
    preset = fitting(*(("view", f"a{row % 5}", row / 10) for row in range(100)))
    assert preset.name is None
    assert "nothing says when" in preset.why


def test_ratings_are_neither() -> None:
    assert fitting(*(("rating", f"a{row % 5}", row / 10) for row in range(100))).name is None
