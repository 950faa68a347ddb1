"""The feature views, a module for each family.

The order of `_FAMILIES` is the order of the features in a row. A module that is not named there publishes nothing.

Names are `<entity>_<fact>_<aggregate>_<window>`; `total` reaches back without end. What a person and an item are to
each other is no feature of either: the ranker computes it from the history at the time of the request.
"""

from __future__ import annotations

from contracts.features import Entity
from feature_store.definitions import (
    audience,
    category_taste,
    conversion,
    event_count,
    event_hours,
    event_types,
    life_total,
    origin,
    people,
    prices,
    release_years,
    trend,
    value_recent,
    value_total,
)
from feature_store.definitions.views import Feature, FeatureView

_FAMILIES = (
    audience,
    category_taste,
    conversion,
    event_count,
    event_hours,
    event_types,
    life_total,
    origin,
    people,
    prices,
    release_years,
    trend,
    value_recent,
    value_total,
)
ALL_VIEWS: tuple[FeatureView, ...] = tuple(view for family in _FAMILIES for view in family.VIEWS)


def views_of(entity: Entity) -> tuple[FeatureView, ...]:
    """The views of an entity; their features in this order are the entity's row."""
    return tuple(view for view in ALL_VIEWS if view.entity is entity)


def features_of(entity: Entity) -> list[tuple[Feature, FeatureView]]:
    """Every feature of an entity with the view it comes from, in the order of a row."""
    return [(feature, view) for view in views_of(entity) for feature in view.features]
