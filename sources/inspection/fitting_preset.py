"""Which preset an export is like, by what people did in it and how long its items were of interest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, cast

import polars as pl

from contracts.counted import counted
from contracts.events import EventType

ORDERS: Final = (EventType.ADD_TO_CART, EventType.PURCHASE, EventType.RETURN)
VIEWS: Final = (EventType.VIEW, EventType.CLICK)
BEFORE_A_PURCHASE: Final = (*VIEWS, EventType.ADD_TO_CART)
MOST_EVENTS: Final = 0.5  # of an export of articles are views
SHORT_LIFE: Final = 0.1  # of the time that was looked at: half of what becomes of an item happens in it
NEARLY_ALL_LIFE: Final = 0.8  # of the events of an item: after so many it is no news
OLDER: Final = 0.05  # of the time of an export: what is met in it was there before, as far as anybody knows
DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class FittingPreset:
    """name: of the preset; None where none fits. why: a sentence.

    instead: parameters, as `params.yaml` names them, for which the export says something else than the preset;
    why_instead: what in the export says so, by parameter.
    """

    name: str | None
    why: str
    instead: Mapping[str, Any] = field(default_factory=dict)
    why_instead: Mapping[str, str] = field(default_factory=dict)


def fitting_preset(interactions: pl.DataFrame) -> FittingPreset:
    """The preset that an export is like. interactions: the canonical table, at least a row."""
    counts = dict(interactions["event_type"].value_counts().iter_rows())
    orders = {str(one): counts[one] for one in ORDERS if counts.get(one)}
    if orders:
        told = " and ".join(counted(n, one.replace("_", " ")) for one, n in orders.items())
        return FittingPreset("shop", f"it has {told}, as a shop has", *_exclusion(counts))
    n_views = sum(counts.get(one, 0) for one in VIEWS)
    if n_views < MOST_EVENTS * len(interactions):
        return FittingPreset(None, "it has no orders, and most of its events are no views")
    half, most, watched = _days_of_interest(interactions)
    if half is None or half > SHORT_LIFE * watched:
        after = "nothing says when" if half is None else f"half of the events of an item come after {half:.1f} days"
        return FittingPreset(
            None,
            f"it has no orders, and its items do not age like news: {after}. `recent_days: 3` of the preset "
            "`articles` would forget what is popular here",
        )
    days = max(1, math.ceil(most))
    return FittingPreset(
        "articles",
        f"it has views and no orders, and half of the events of an item come within {half:.1f} days of its first one",
        {"candidates.popular.recent_days": days},
        {"candidates.popular.recent_days": "by this export"},
    )


def _exclusion(counts: Mapping[str, int]) -> tuple[dict[str, Any], dict[str, str]]:
    """What excludes an item where people look before they buy, and why; nothing where purchases stand alone.

    counts: events by type.
    """
    n_purchases = counts.get(EventType.PURCHASE, 0)
    others = [counted(counts[one], one.replace("_", " ")) for one in BEFORE_A_PURCHASE if counts.get(one)]
    if not n_purchases or not others:
        return {}, {}
    told = f"{counted(n_purchases, 'purchase')} beside {' and '.join(others)}"
    why = f"{told}: null would never offer again what somebody only looked at"
    return {"request.excluding_events": [str(EventType.PURCHASE)]}, {"request.excluding_events": why}


def _days_of_interest(interactions: pl.DataFrame) -> tuple[float | None, float, float]:
    """After how many days of an item's first event half of its events are over, and nearly all; days looked at.

    Of items that came new in the first half of the export: of older ones nobody knows the first event, and of newer
    ones the export ends too soon. None where there are none.
    """
    start, end = (cast("datetime", one) for one in (interactions["event_ts"].min(), interactions["event_ts"].max()))
    first = pl.col("event_ts").min().over("item_id")
    came_new = interactions.select("event_ts", first=first).filter(
        (pl.col("first") > start + OLDER * (end - start)) & (pl.col("first") <= start + (end - start) / 2)
    )
    ages = (came_new["event_ts"] - came_new["first"]).dt.total_seconds() / DAY.total_seconds()
    watched = (end - start) / DAY / 2
    if ages.is_empty():
        return None, 0.0, watched
    return float(ages.quantile(0.5) or 0.0), float(ages.quantile(NEARLY_ALL_LIFE) or 0.0), watched
