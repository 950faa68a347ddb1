"""What things cost: those a person looked at, those they bought, and an item itself.

The position of an item's price among the others is an on-demand feature, from the catalogue of the release that
answers. As a stored value it would change with every item that comes in.
"""

from __future__ import annotations

from datetime import timedelta

from contracts.events import EventType
from contracts.features import OWNER, Entity
from feature_store.definitions.view_terms import WITHOUT_END, serving_ttl
from feature_store.definitions.views import Feature, FeatureView, Rows, Source, mean, per_entity, standard_deviation

_PRICES_TOTAL = FeatureView(
    name="user_prices_total",
    entity=Entity.USER,
    source=Source.EVENTS,
    window=None,
    ttl=WITHOUT_END,
    owner=OWNER,
    description="What the things cost that a person chose, whatever they did with them: mean and spread.",
    features=(Feature("user_price_mean_total"), Feature("user_price_std_total")),
    expression=lambda rows: per_entity(
        rows,
        user_price_mean_total=mean(rows.price_milli) / 1000,
        user_price_std_total=standard_deviation(rows.price_milli) / 1000,
    ),
)

_PRICES_RECENT = FeatureView(
    name="user_prices_30d",
    entity=Entity.USER,
    source=Source.EVENTS,
    window=timedelta(days=30),
    ttl=serving_ttl(30),
    owner=OWNER,
    description="What the things cost that a person chose lately.",
    features=(Feature("user_price_mean_30d"),),
    expression=lambda rows: per_entity(rows, user_price_mean_30d=mean(rows.price_milli) / 1000),
)


def _purchase_prices(rows: Rows) -> Rows:
    purchases = rows.filter(rows.event_type == str(EventType.PURCHASE))
    return per_entity(
        purchases,
        user_purchase_price_mean_365d=mean(purchases.price_milli) / 1000,
        user_purchase_price_std_365d=standard_deviation(purchases.price_milli) / 1000,
    )


_PURCHASE_PRICES = FeatureView(
    name="user_purchase_prices_365d",
    entity=Entity.USER,
    source=Source.EVENTS,
    window=timedelta(days=365),
    ttl=serving_ttl(365),
    owner=OWNER,
    description="What the things cost that a person bought within a year: mean and spread.",
    features=(Feature("user_purchase_price_mean_365d"), Feature("user_purchase_price_std_365d")),
    expression=_purchase_prices,
)

_ITEM_PRICE = FeatureView(
    name="item_price",
    entity=Entity.ITEM,
    source=Source.ATTRIBUTES,
    window=None,
    ttl=WITHOUT_END,
    owner=OWNER,
    description="What the catalogue asks for an item.",
    features=(Feature("item_price"),),
    expression=lambda rows: rows.select("entity_id", "as_of_us", item_price=rows.price_milli / 1000),
)

VIEWS = (_PRICES_TOTAL, _PRICES_RECENT, _PURCHASE_PRICES, _ITEM_PRICE)
