"""The feature views, a file for each family; `VIEWS` of every file here is the feature store.

Names are `<entity>_<fact>_<aggregate>_<window>`; `total` reaches back without end. What a person and an item are to
each other is no feature of either: the ranker computes it from the history at the time of the request.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from contracts.features import Entity
from feature_store.views import Feature, FeatureView


def views_of(entity: Entity) -> tuple[FeatureView, ...]:
    """The views of an entity; their features in this order are the entity's row."""
    return tuple(view for view in ALL_VIEWS if view.entity is entity)


def features_of(entity: Entity) -> list[tuple[Feature, FeatureView]]:
    """Every feature of an entity with the view it comes from, in the order of a row."""
    return [(feature, view) for view in views_of(entity) for feature in view.features]


def _declared() -> tuple[FeatureView, ...]:
    """The views of every file, in the order of the files' names."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    return tuple(view for module in modules for view in module.VIEWS)


ALL_VIEWS = _declared()
