"""Every feature the slow way: a loop over all events for one entity and one moment. The oracle of the offline store."""

from __future__ import annotations

import math
from collections import Counter
from datetime import datetime
from typing import Any

from contracts.events import POSITIVE_EVENTS
from contracts.tables import CanonicalTables

DAY = 86_400.0


def features_at(tables: CanonicalTables, entity: str, entity_id: str, as_of: datetime) -> dict[str, float | None]:
    """The features of one entity as of one moment, None where missing."""
    events = [
        event
        for event in tables.interactions.iter_rows(named=True)
        if event["event_type"] in POSITIVE_EVENTS and event[f"{entity}_id"] == entity_id and event["event_ts"] < as_of
    ]
    ages = [(as_of - event["event_ts"]).total_seconds() / DAY for event in events]
    shared = {
        **{f"{entity}_event_count_{days}d": sum(age <= days for age in ages) for days in (1, 7, 30, 90, 365)},
        f"{entity}_event_count_total": len(events),
        f"{entity}_event_recency_days_total": min(ages, default=None),
        f"{entity}_event_tenure_days_total": max(ages, default=None),
        f"{entity}_value_mean_total": _mean(_column(events, "value")),
        f"{entity}_value_std_total": _std(_column(events, "value")),
    }
    own = _user_features if entity == "user" else _item_features
    return {**shared, **own(tables, entity_id, as_of, list(zip(events, ages, strict=True)))}


def _user_features(tables: CanonicalTables, user_id: str, as_of: datetime, events: Any) -> dict[str, float | None]:
    items = {item["item_id"]: item for item in tables.items.iter_rows(named=True)}
    people = {user["user_id"]: user for user in tables.users.iter_rows(named=True)}
    person = people.get(user_id, {"age": None, "gender": None})
    seen = [items.get(event["item_id"], {"release_year": None, "categories": []}) for event, _ in events]
    recent = [item for item, (_, age) in zip(seen, events, strict=True) if age <= 30]
    counts = Counter(category for item in seen for category in item["categories"])
    total = sum(counts.values())
    return {
        "user_value_mean_30d": _mean(_column([event for event, age in events if age <= 30], "value")),
        "user_release_year_mean_total": _mean(_column(seen, "release_year")),
        "user_release_year_std_total": _std(_column(seen, "release_year")),
        "user_release_year_mean_30d": _mean(_column(recent, "release_year")),
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


def _share(ages: list[float], days: int, of_days: int) -> float | None:
    within = [age for age in ages if age <= of_days]
    return sum(age <= days for age in within) / len(within) if within else None
