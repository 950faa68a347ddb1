"""How much ever happened, and when."""

from __future__ import annotations

from contracts.features import OWNER, Entity
from feature_store.definitions.view_terms import WITHOUT_END
from feature_store.definitions.views import AggregateFunction, Aggregation, Feature, FeatureView, Source


def _life_total(entity: Entity) -> FeatureView:
    count, recency, tenure = (f"{entity}_event_{fact}_total" for fact in ("count", "recency_days", "tenure_days"))
    return FeatureView(
        name=f"{entity}_life_total",
        entity=entity,
        source=Source.EVENTS,
        window=None,
        ttl=WITHOUT_END,
        owner=OWNER,
        description="How much ever happened, and how many days ago the last and the first of it.",
        features=(Feature(count, when_empty=0.0), Feature(recency), Feature(tenure)),
        aggregations=(
            Aggregation(AggregateFunction.COUNT),
            Aggregation(AggregateFunction.DAYS_SINCE_LAST),
            Aggregation(AggregateFunction.DAYS_SINCE_FIRST),
        ),
    )


VIEWS = tuple(_life_total(entity) for entity in Entity)
