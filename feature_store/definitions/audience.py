"""Who chose an item."""

from __future__ import annotations

from contracts.features import OWNER, Entity
from feature_store.definitions.view_terms import WITHOUT_END
from feature_store.definitions.views import Feature, FeatureView, Source, mean, per_entity

_ITEM_AUDIENCE = FeatureView(
    name="item_audience_total",
    entity=Entity.ITEM,
    source=Source.EVENTS,
    window=None,
    ttl=WITHOUT_END,
    owner=OWNER,
    description="Who chose an item: how many people, their mean age, the share of women among those who said.",
    features=(
        Feature("item_user_count_total", when_empty=0.0),
        Feature("item_user_age_mean_total"),
        Feature("item_user_female_share_total"),
    ),
    expression=lambda rows: per_entity(
        rows,
        item_user_count_total=rows.user_id.nunique(),
        item_user_age_mean_total=mean(rows.age),
        item_user_female_share_total=mean(rows.female),
    ),
)

VIEWS = (_ITEM_AUDIENCE,)
