"""What a person said of themselves, and how long they have been here."""

from __future__ import annotations

from contracts.features import OWNER, Entity
from feature_store.definitions.view_terms import WITHOUT_END
from feature_store.definitions.views import Feature, FeatureView, Source, days_since

_DEMOGRAPHICS = FeatureView(
    name="user_demographics",
    entity=Entity.USER,
    source=Source.ATTRIBUTES,
    window=None,
    ttl=WITHOUT_END,
    owner=OWNER,
    description="What a person said of themselves. user_gender_female: 1 for F, 0 for M, missing for everything else.",
    features=(Feature("user_age"), Feature("user_gender_female")),
    expression=lambda rows: rows.select("entity_id", "as_of_us", user_age=rows.age, user_gender_female=rows.female),
)

_ACCOUNT_AGE = FeatureView(
    name="user_account_age",
    entity=Entity.USER,
    source=Source.ATTRIBUTES,
    window=None,
    ttl=WITHOUT_END,
    owner=OWNER,
    description="How many days ago a person signed up; missing before. Days since the first event: user_life_total.",
    features=(Feature("user_account_age_days"),),
    expression=lambda rows: rows.select(
        "entity_id", "as_of_us", user_account_age_days=days_since(rows.as_of_us, rows.signup_us)
    ),
)

VIEWS = (_DEMOGRAPHICS, _ACCOUNT_AGE)
