"""What kind of thing happened: counts by event type, and how long ago the last one of a type was."""

from __future__ import annotations

from datetime import timedelta

from contracts.events import EventType
from contracts.features import OWNER, Entity
from feature_store.definitions.view_terms import WITHOUT_END, serving_ttl
from feature_store.definitions.views import AggregateFunction, Aggregation, Feature, FeatureView, Source

COUNTED = (EventType.VIEW, EventType.CLICK, EventType.ADD_TO_CART, EventType.PURCHASE)
WINDOWS_DAYS = (7, 30, 365)


def _type_counts(entity: Entity, days: int) -> FeatureView:
    names = {f"{entity}_{event_type}_count_{days}d": event_type for event_type in COUNTED}
    return FeatureView(
        name=f"{entity}_event_types_{days}d",
        entity=entity,
        source=Source.EVENTS,
        window=timedelta(days=days),
        ttl=serving_ttl(days),
        owner=OWNER,
        description=f"What kind of thing happened in the last {days} days, by event type.",
        features=tuple(Feature(name, when_empty=0.0) for name in names),
        aggregations=tuple(Aggregation(AggregateFunction.COUNT, (kind,)) for kind in names.values()),
    )


def _type_recency(entity: Entity, *event_types: EventType) -> FeatureView:
    names = {f"{entity}_{event_type}_recency_days_total": event_type for event_type in event_types}
    return FeatureView(
        name=f"{entity}_event_type_recency_total",
        entity=entity,
        source=Source.EVENTS,
        window=None,
        ttl=WITHOUT_END,
        owner=OWNER,
        description=f"How many days ago the last {' and the last '.join(event_types)} was.",
        features=tuple(Feature(name) for name in names),
        aggregations=tuple(Aggregation(AggregateFunction.DAYS_SINCE_LAST, (kind,)) for kind in names.values()),
    )


VIEWS = (
    *(_type_counts(entity, days) for entity in Entity for days in WINDOWS_DAYS),
    _type_recency(Entity.USER, EventType.ADD_TO_CART, EventType.PURCHASE),
    _type_recency(Entity.ITEM, EventType.PURCHASE),
)
