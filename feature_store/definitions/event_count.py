"""How much happened."""

from __future__ import annotations

from datetime import timedelta

from contracts.features import OWNER, Entity
from feature_store.definitions.view_terms import serving_ttl
from feature_store.definitions.views import AggregateFunction, Aggregation, Feature, FeatureView, Source

COUNT_WINDOWS_DAYS = (1, 7, 30, 90, 365)


def _event_count(entity: Entity, days: int) -> FeatureView:
    name = f"{entity}_event_count_{days}d"
    return FeatureView(
        name=f"{entity}_activity_{days}d",
        entity=entity,
        source=Source.EVENTS,
        window=timedelta(days=days),
        ttl=serving_ttl(days),
        owner=OWNER,
        description=f"How much happened in the last {days} days.",
        features=(Feature(name, when_empty=0.0),),
        aggregations=(Aggregation(AggregateFunction.COUNT),),
    )


VIEWS = tuple(_event_count(entity, days) for entity in Entity for days in COUNT_WINDOWS_DAYS)
