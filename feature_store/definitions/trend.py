"""Whether an item is rising or fading."""

from __future__ import annotations

from datetime import timedelta

from contracts.features import Entity
from feature_store.view_terms import OWNER, serving_ttl
from feature_store.views import Column, Feature, FeatureView, Rows, Source, per_entity, within_days


def _share_of_events(rows: Rows, days: int) -> Column:
    return within_days(rows, days).cast("int64").sum().cast("float64") / rows.count()


def _item_trend(days: int, of_days: int) -> FeatureView:
    name = f"item_event_trend_{days}d_of_{of_days}d"
    return FeatureView(
        name=f"item_trend_{of_days}d",
        entity=Entity.ITEM,
        source=Source.EVENTS,
        window=timedelta(days=of_days),
        ttl=serving_ttl(of_days),
        owner=OWNER,
        description=f"The share of the last {of_days} days' events that fell into the last {days}: rising or fading.",
        features=(Feature(name),),
        expression=lambda rows: per_entity(rows, **{name: _share_of_events(rows, days)}),
    )


VIEWS = (_item_trend(7, of_days=30), _item_trend(30, of_days=365))
