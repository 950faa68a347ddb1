"""Every feature the slow way: a loop over all events for one entity and one moment. The oracle of the offline store."""

from __future__ import annotations

import math
from collections import Counter
from datetime import datetime
from typing import Any

import polars as pl

from contracts.events import POSITIVE_EVENTS
from contracts.returns import without_taken_back
from contracts.tables import CanonicalTables

DAY = 86_400.0


def features_at(tables: CanonicalTables, entity: str, entity_id: str, as_of: datetime) -> dict[str, float | None]:
    """The features of one entity as of one moment, None where missing."""
    known = without_taken_back(tables.interactions.filter(pl.col("event_ts") < as_of))
    events = [
        event
        for event in known.iter_rows(named=True)
        if event["event_type"] in POSITIVE_EVENTS and event[f"{entity}_id"] == entity_id
    ]
    ages = [(as_of - event["event_ts"]).total_seconds() / DAY for event in events]
    timed = list(zip(events, ages, strict=True))
    shared = {
        **_of_types(entity, timed),
        f"{entity}_event_count_1h": sum(age <= 1 / 24 for age in ages),
        **{f"{entity}_event_count_{days}d": sum(age <= days for age in ages) for days in (1, 7, 30, 90, 365)},
        f"{entity}_event_count_total": len(events),
        f"{entity}_event_recency_days_total": min(ages, default=None),
        f"{entity}_event_tenure_days_total": max(ages, default=None),
        f"{entity}_value_mean_total": _mean(_column(events, "value")),
        f"{entity}_value_std_total": _std(_column(events, "value")),
    }
    own = _user_features if entity == "user" else _item_features
    return {**shared, **own(tables, entity_id, as_of, timed)}


def _of_types(entity: str, events: Any) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for days in (7, 30, 365):
        within = [event["event_type"] for event, age in events if age <= days]
        for kind in ("view", "click", "add_to_cart", "purchase"):
            found[f"{entity}_{kind}_count_{days}d"] = within.count(kind)
        if days == 365 or (days == 30 and entity == "item"):
            opened = within.count("view") + within.count("click")
            for kind, prior in (("add_to_cart", 0.05), ("purchase", 0.015)):
                rate = (within.count(kind) + 20 * prior) / (opened + 20)
                found[f"{entity}_{kind}_rate_{days}d"] = rate if within else None
    for kind in ("add_to_cart", "purchase") if entity == "user" else ("purchase",):
        of_kind = [age for event, age in events if event["event_type"] == kind]
        found[f"{entity}_{kind}_recency_days_total"] = min(of_kind, default=None)
    return found


def _days_since(as_of: datetime, then: datetime | None) -> float | None:
    return None if then is None or then >= as_of else (as_of - then).total_seconds() / DAY


def _user_features(tables: CanonicalTables, user_id: str, as_of: datetime, events: Any) -> dict[str, float | None]:
    items = {item["item_id"]: item for item in tables.items.iter_rows(named=True)}
    people = {user["user_id"]: user for user in tables.users.iter_rows(named=True)}
    person = people.get(user_id, {"age": None, "gender": None, "signup_ts": None})
    nothing = {"release_year": None, "categories": [], "price": None}
    seen = [items.get(event["item_id"], nothing) for event, _ in events]
    bought = [
        item
        for item, (event, age) in zip(seen, events, strict=True)
        if age <= 365 and event["event_type"] == "purchase"
    ]
    recent = [item for item, (_, age) in zip(seen, events, strict=True) if age <= 30]
    counts = Counter(category for item in seen for category in item["categories"])
    total = sum(counts.values())
    return {
        "user_value_mean_30d": _mean(_column([event for event, age in events if age <= 30], "value")),
        "user_release_year_mean_total": _mean(_column(seen, "release_year")),
        "user_release_year_std_total": _std(_column(seen, "release_year")),
        "user_release_year_mean_30d": _mean(_column(recent, "release_year")),
        "user_price_mean_total": _mean(_column(seen, "price")),
        "user_price_std_total": _std(_column(seen, "price")),
        "user_price_mean_30d": _mean(_column(recent, "price")),
        "user_purchase_price_mean_365d": _mean(_column(bought, "price")),
        "user_purchase_price_std_365d": _std(_column(bought, "price")),
        "user_account_age_days": _days_since(as_of, person["signup_ts"]),
        "user_category_count_total": len(counts),
        "user_category_share_max_total": max(counts.values()) / total if total else None,
        "user_category_concentration_total": sum((n / total) ** 2 for n in counts.values()) if total else None,
        "user_age": person["age"],
        "user_gender_female": {"F": 1, "M": 0}.get(person["gender"]),
    }


def _item_features(tables: CanonicalTables, item_id: str, as_of: datetime, events: Any) -> dict[str, float | None]:
    items = {item["item_id"]: item for item in tables.items.iter_rows(named=True)}
    people = {user["user_id"]: user for user in tables.users.iter_rows(named=True)}
    item = items[item_id]
    audience = [people.get(event["user_id"], {"age": None, "gender": None}) for event, _ in events]
    genders = [float(person["gender"] == "F") for person in audience if person["gender"] in ("F", "M")]
    year_now = 1970 + as_of.timestamp() / DAY / 365.2425
    return {
        "item_value_mean_90d": _mean(_column([event for event, age in events if age <= 90], "value")),
        "item_user_count_total": len({event["user_id"] for event, _ in events}),
        "item_user_age_mean_total": _mean(_column(audience, "age")),
        "item_user_female_share_total": _mean(genders),
        "item_price": item["price"],
        "item_age_days": _days_since(as_of, item["created_ts"]),
        "item_event_trend_6h_of_48h": _share([age for _, age in events], 0.25, 2),
        "item_event_trend_24h_of_7d": _share([age for _, age in events], 1, 7),
        "item_event_trend_7d_of_30d": _share([age for _, age in events], 7, 30),
        "item_event_trend_30d_of_365d": _share([age for _, age in events], 30, 365),
        "item_release_year": item["release_year"],
        "item_release_age_years": None if item["release_year"] is None else year_now - item["release_year"],
        "item_category_count": len(item["categories"]),
    }


def _column(rows: list[dict[str, Any]], name: str) -> list[float]:
    return [row[name] for row in rows if row[name] is not None]


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _std(values: list[float]) -> float | None:
    if not values:
        return None
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))


def _share(ages: list[float], days: float, of_days: float) -> float | None:
    within = [age for age in ages if age <= of_days]
    return sum(age <= days for age in within) / len(within) if within else None
