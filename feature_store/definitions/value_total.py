"""The values of all events."""

from __future__ import annotations

from contracts.features import OWNER, Entity
from feature_store.definitions.view_terms import WITHOUT_END
from feature_store.definitions.views import Feature, FeatureView, Source, mean, per_entity, standard_deviation


def _value_total(entity: Entity) -> FeatureView:
    mean_name, std_name = f"{entity}_value_mean_total", f"{entity}_value_std_total"
    return FeatureView(
        name=f"{entity}_value_total",
        entity=entity,
        source=Source.EVENTS,
        window=None,
        ttl=WITHOUT_END,
        owner=OWNER,
        description="The values (ratings, prices, seconds) of all events: their mean and spread.",
        features=(Feature(mean_name), Feature(std_name)),
        expression=lambda rows: per_entity(
            rows,
            **{mean_name: mean(rows.value_milli) / 1000, std_name: standard_deviation(rows.value_milli) / 1000},
        ),
    )


VIEWS = tuple(_value_total(entity) for entity in Entity)
