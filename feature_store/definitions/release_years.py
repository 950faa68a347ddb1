"""The release years of what a person chose."""

from __future__ import annotations

from datetime import timedelta

from contracts.features import OWNER, Entity
from feature_store.definitions.view_terms import WITHOUT_END, serving_ttl
from feature_store.definitions.views import Feature, FeatureView, Source, mean, per_entity, standard_deviation

_RELEASE_YEARS = FeatureView(
    name="user_release_years_total",
    entity=Entity.USER,
    source=Source.EVENTS,
    window=None,
    ttl=WITHOUT_END,
    owner=OWNER,
    description="The release years of what a person chose: old or new, one period or all.",
    features=(Feature("user_release_year_mean_total"), Feature("user_release_year_std_total")),
    expression=lambda rows: per_entity(
        rows,
        user_release_year_mean_total=mean(rows.release_year),
        user_release_year_std_total=standard_deviation(rows.release_year),
    ),
)

_RELEASE_YEARS_RECENT = FeatureView(
    name="user_release_years_30d",
    entity=Entity.USER,
    source=Source.EVENTS,
    window=timedelta(days=30),
    ttl=serving_ttl(30),
    owner=OWNER,
    description="The release years of what a person chose lately.",
    features=(Feature("user_release_year_mean_30d"),),
    expression=lambda rows: per_entity(rows, user_release_year_mean_30d=mean(rows.release_year)),
)

VIEWS = (_RELEASE_YEARS, _RELEASE_YEARS_RECENT)
