"""How much ever happened, and when."""

from __future__ import annotations

from contracts.features import Entity
from feature_store.view_terms import OWNER, WITHOUT_END
from feature_store.views import Feature, FeatureView, Source, days_before, per_entity


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
        expression=lambda rows: per_entity(
            rows,
            **{
                count: rows.count(),
                recency: days_before(rows.as_of_us.max(), rows.event_us.max()),
                tenure: days_before(rows.as_of_us.max(), rows.event_us.min()),
            },
        ),
    )


VIEWS = tuple(_life_total(entity) for entity in Entity)
