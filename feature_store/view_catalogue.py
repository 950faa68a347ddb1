"""Every feature view in words, published or on demand: what the command line lists and the docs print."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from contracts.on_demand import OnDemandView
from feature_store.definitions import ALL_VIEWS
from feature_store.definitions.view_terms import WITHOUT_END
from feature_store.definitions.views import Feature, FeatureView
from feature_store.readers.live_features import LIVE_NAMES

PUBLISHED = "published"
LIVE = "published, live"
ON_DEMAND = "on demand"
LEARNT = "the median of training"


@dataclass(frozen=True)
class DescribedFeature:
    """default: the rule for a missing value, in words. says: more than its name and view, where there is more."""

    name: str
    default: str
    says: str = ""


@dataclass(frozen=True)
class DescribedView:
    """window, ttl: in words. computed: PUBLISHED, LIVE (that, and brought up to the request) or ON_DEMAND."""

    name: str
    entity: str
    features: tuple[DescribedFeature, ...]
    window: str
    ttl: str
    owner: str
    description: str
    computed: str


def view_catalogue(on_demand: Iterable[OnDemandView]) -> tuple[DescribedView, ...]:
    """The published views in the order of their rows, then the on-demand ones in the order given."""
    return (*map(_published, ALL_VIEWS), *map(_on_demand, on_demand))


def _published(view: FeatureView) -> DescribedView:
    return DescribedView(
        name=view.name,
        entity=str(view.entity),
        features=tuple(_described(feature) for feature in view.features),
        window="all" if view.window is None else _length(view.window),
        ttl="none" if view.ttl == WITHOUT_END else _length(view.ttl),
        owner=view.owner,
        description=view.description,
        computed=LIVE if {feature.name for feature in view.features} <= LIVE_NAMES else PUBLISHED,
    )


def _described(feature: Feature) -> DescribedFeature:
    return DescribedFeature(feature.name, LEARNT if feature.when_empty is None else f"{feature.when_empty:g}")


def _on_demand(view: OnDemandView) -> DescribedView:
    return DescribedView(
        name=view.name,
        entity=view.entity,
        features=tuple(DescribedFeature(name, "stays missing", says) for name, says in view.features.items()),
        window=view.window,
        ttl="none",
        owner=view.owner,
        description=view.description,
        computed=ON_DEMAND,
    )


def _length(duration: timedelta) -> str:
    hours = duration // timedelta(hours=1)
    return f"{hours} h" if hours % 24 else f"{hours // 24} d"
