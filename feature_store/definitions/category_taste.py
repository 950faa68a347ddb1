"""How broad a person's taste is."""

from __future__ import annotations

from contracts.features import OWNER, Entity
from feature_store.definitions.view_terms import WITHOUT_END
from feature_store.definitions.views import Feature, FeatureView, Rows, Source, per_entity


def _category_taste(rows: Rows) -> Rows:
    """The shares of a person's events per category, in three figures. Concentration is the sum of squared shares:
    1 for one category alone, 1/n for n equal ones."""
    events = rows.select("entity_id", "as_of_us", category=rows.categories.unnest())
    counts = events.group_by(["entity_id", "as_of_us", "category"]).aggregate(n=events.count())
    total = counts.n.sum().cast("float64")
    return per_entity(
        counts,
        user_category_count_total=counts.count(),
        user_category_share_max_total=counts.n.max() / total,
        user_category_concentration_total=(counts.n * counts.n).sum() / (total * total),
    )


_CATEGORY_TASTE = FeatureView(
    name="user_category_taste_total",
    entity=Entity.USER,
    source=Source.EVENTS,
    window=None,
    ttl=WITHOUT_END,
    owner=OWNER,
    description="How broad a person's taste is: categories touched, share of the favourite, concentration.",
    features=(
        Feature("user_category_count_total", when_empty=0.0),
        Feature("user_category_share_max_total"),
        Feature("user_category_concentration_total"),
    ),
    expression=_category_taste,
)

VIEWS = (_CATEGORY_TASTE,)
