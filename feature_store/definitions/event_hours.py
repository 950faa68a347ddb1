"""How much happened within the hour: who is here now, and what is looked at now."""

from __future__ import annotations

from datetime import timedelta

from contracts.features import OWNER, Entity
from feature_store.definitions.views import AggregateFunction, Aggregation, Feature, FeatureView, Source


def _event_count_of_hour(entity: Entity) -> FeatureView:
    name = f"{entity}_event_count_1h"
    return FeatureView(
        name=f"{entity}_activity_1h",
        entity=entity,
        source=Source.EVENTS,
        window=timedelta(hours=1),
        ttl=timedelta(days=1),
        owner=OWNER,
        description="How much happened in the last hour.",
        features=(Feature(name, when_empty=0.0),),
        aggregations=(Aggregation(AggregateFunction.COUNT),),
    )


VIEWS = tuple(_event_count_of_hour(entity) for entity in Entity)
