"""Whether an item is rising or fading, over hours and over weeks."""

from __future__ import annotations

from datetime import timedelta

from contracts.calendar import MICROSECONDS_PER_HOUR
from contracts.features import OWNER, Entity
from feature_store.definitions.view_terms import serving_ttl
from feature_store.definitions.views import Column, Feature, FeatureView, Rows, Source, per_entity

DAY = 24  # hours


def _item_trend(hours: int, of_hours: int) -> FeatureView:
    name = f"item_event_trend_{_length(hours)}_of_{_length(of_hours)}"
    return FeatureView(
        name=f"item_trend_{_length(of_hours)}",
        entity=Entity.ITEM,
        source=Source.EVENTS,
        window=timedelta(hours=of_hours),
        ttl=serving_ttl(of_hours // DAY),
        owner=OWNER,
        description=(
            f"The share of the last {_length(of_hours)}'s events that fell into the last {_length(hours)}: rising or "
            "fading."
        ),
        features=(Feature(name),),
        expression=lambda rows: per_entity(rows, **{name: _share_of_events(rows, hours)}),
    )


def _length(hours: int) -> str:
    return f"{hours}h" if hours <= 2 * DAY else f"{hours // DAY}d"


def _share_of_events(rows: Rows, hours: int) -> Column:
    late = rows.event_us >= rows.as_of_us - hours * MICROSECONDS_PER_HOUR
    return late.cast("int64").sum().cast("float64") / rows.count()


VIEWS = (
    _item_trend(6, of_hours=2 * DAY),
    _item_trend(DAY, of_hours=7 * DAY),
    _item_trend(7 * DAY, of_hours=30 * DAY),
    _item_trend(30 * DAY, of_hours=365 * DAY),
)
