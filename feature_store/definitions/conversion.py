"""How often what was opened went into the cart, and was bought.

A rate is (happened + PRIOR_OPENED * prior) / (opened + PRIOR_OPENED): one purchase of one opened item is no rate of 1.
The prior is a figure of the field and the same for everybody, so that the value of one key depends on no other key.
"""

from __future__ import annotations

from datetime import timedelta

from contracts.events import EventType
from contracts.features import OWNER, Entity
from feature_store.definitions.view_terms import serving_ttl
from feature_store.definitions.views import (
    AggregateFunction,
    Aggregation,
    Column,
    Feature,
    FeatureView,
    Rows,
    Source,
    per_entity,
)

# The prior counts as much as this many opened items.
PRIOR_OPENED = 20
# Of a hundred opened items five go into the cart and one or two are bought: docs/simulator.md, with its sources.
PRIORS = {EventType.ADD_TO_CART: 0.05, EventType.PURCHASE: 0.015}


def _conversion(entity: Entity, days: int) -> FeatureView:
    names = {f"{entity}_{event_type}_rate_{days}d": event_type for event_type in PRIORS}
    return FeatureView(
        name=f"{entity}_conversion_{days}d",
        entity=entity,
        source=Source.EVENTS,
        window=timedelta(days=days),
        ttl=serving_ttl(days),
        owner=OWNER,
        description=(
            f"Of what was viewed or clicked in the last {days} days, the share that went into the cart and that was "
            f"bought; smoothed as if {PRIOR_OPENED} more had been opened, of which "
            f"{PRIORS[EventType.ADD_TO_CART]:.1%} and {PRIORS[EventType.PURCHASE]:.1%} did."
        ),
        features=tuple(Feature(name, rests_on=f"{entity}_{kind}_count_{days}d") for name, kind in names.items()),
        expression=lambda rows: _rates(rows, names),
    )


def _rates(rows: Rows, names: dict[str, EventType]) -> Rows:
    opened = _count(rows, EventType.VIEW, EventType.CLICK) + PRIOR_OPENED
    return per_entity(
        rows,
        **{
            name: (_count(rows, kind).cast("float64") + PRIOR_OPENED * PRIORS[kind]) / opened
            for name, kind in names.items()
        },
    )


def _count(rows: Rows, *event_types: EventType) -> Column:
    return Aggregation(AggregateFunction.COUNT, event_types).over(rows)


VIEWS = (_conversion(Entity.USER, 365), _conversion(Entity.ITEM, 30), _conversion(Entity.ITEM, 365))
