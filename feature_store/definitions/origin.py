"""What the catalogue says of an item, and how long it has been there."""

from __future__ import annotations

from contracts.calendar import DAYS_PER_YEAR, EPOCH, MICROSECONDS_PER_DAY
from contracts.features import OWNER, Entity
from feature_store.definitions.view_terms import WITHOUT_END
from feature_store.definitions.views import Feature, FeatureView, Rows, Source, days_since


def _item_origin(rows: Rows) -> Rows:
    year_now = EPOCH.year + rows.as_of_us / (MICROSECONDS_PER_DAY * DAYS_PER_YEAR)
    return rows.select(
        "entity_id",
        "as_of_us",
        item_release_year=rows.release_year,
        item_release_age_years=year_now - rows.release_year,
        item_category_count=rows.categories.length(),
    )


_ITEM_ORIGIN = FeatureView(
    name="item_origin",
    entity=Entity.ITEM,
    source=Source.ATTRIBUTES,
    window=None,
    ttl=WITHOUT_END,
    owner=OWNER,
    description="What the catalogue says: year of release, age since then, number of categories.",
    features=(
        Feature("item_release_year"),
        Feature("item_release_age_years"),
        Feature("item_category_count"),
    ),
    expression=_item_origin,
)

_ITEM_AGE = FeatureView(
    name="item_age",
    entity=Entity.ITEM,
    source=Source.ATTRIBUTES,
    window=None,
    ttl=WITHOUT_END,
    owner=OWNER,
    description="How many days an item has been in the catalogue; missing before it came.",
    features=(Feature("item_age_days"),),
    expression=lambda rows: rows.select(
        "entity_id", "as_of_us", item_age_days=days_since(rows.as_of_us, rows.created_us)
    ),
)

VIEWS = (_ITEM_ORIGIN, _ITEM_AGE)
