"""The values of the latest events."""

from __future__ import annotations

from datetime import timedelta

from contracts.features import OWNER, Entity
from feature_store.definitions.view_terms import serving_ttl
from feature_store.definitions.views import AggregateFunction, Aggregation, Feature, FeatureView, Source


def _value_recent(entity: Entity, days: int) -> FeatureView:
    name = f"{entity}_value_mean_{days}d"
    return FeatureView(
        name=f"{entity}_value_{days}d",
        entity=entity,
        source=Source.EVENTS,
        window=timedelta(days=days),
        ttl=serving_ttl(days),
        owner=OWNER,
        description=f"The mean value of the last {days} days' events.",
        features=(Feature(name),),
        aggregations=(Aggregation(AggregateFunction.MEAN_VALUE),),
    )


VIEWS = (_value_recent(Entity.USER, 30), _value_recent(Entity.ITEM, 90))
