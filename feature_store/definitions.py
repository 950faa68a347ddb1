"""The feature views. Names are `<entity>_<fact>_<aggregate>_<window>`; `total` reaches back without end.

What a person and an item are to each other (shared categories, time since the last like it) is no feature of either:
the ranker computes it from the history at the time of the request.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import chain

from contracts.features import Entity
from feature_store.views import (
    MICROSECONDS_PER_DAY,
    Column,
    Feature,
    FeatureView,
    Rows,
    Source,
    days_before,
    mean,
    per_entity,
    standard_deviation,
    within_days,
)

OWNER = "recommendations"
COUNT_WINDOWS_DAYS = (1, 7, 30, 90, 365)
WITHOUT_END = timedelta(days=36_500)  # a hundred years
DAYS_PER_YEAR = 365.2425
EPOCH_YEAR = 1970


def views_of(entity: Entity) -> tuple[FeatureView, ...]:
    """The views of an entity; their features in this order are the entity's row."""
    return _USER_VIEWS if entity is Entity.USER else _ITEM_VIEWS


def features_of(entity: Entity) -> list[tuple[Feature, FeatureView]]:
    """Every feature of an entity with the view it comes from, in the order of a row."""
    return [(feature, view) for view in views_of(entity) for feature in view.features]


def _event_count(entity: Entity, days: int) -> FeatureView:
    name = f"{entity}_event_count_{days}d"
    return FeatureView(
        name=f"{entity}_activity_{days}d",
        entity=entity,
        source=Source.EVENTS,
        window=timedelta(days=days),
        ttl=_serving_ttl(days),
        owner=OWNER,
        description=f"How much happened in the last {days} days.",
        features=(Feature(name, when_empty=0.0),),
        expression=lambda rows: per_entity(rows, **{name: rows.count()}),
    )


def _serving_ttl(days: int) -> timedelta:
    """A count of few days says nothing a week later; one of many days bears a month. Never under the window itself."""
    return timedelta(days=max(days, 7 if days <= 7 else 30))


def _life_total(entity: Entity) -> FeatureView:
    count, recency, tenure = (f"{entity}_event_{fact}_total" for fact in ("count", "recency_days", "tenure_days"))
    return FeatureView(
        name=f"{entity}_life_total",
        entity=entity,
        source=Source.EVENTS,
        window=None,
        ttl=WITHOUT_END,
        owner=OWNER,
        description="How much ever happened, and how many days ago the last and the first of it.",
        features=(Feature(count, when_empty=0.0), Feature(recency), Feature(tenure)),
        expression=lambda rows: per_entity(
            rows,
            **{
                count: rows.count(),
                recency: days_before(rows.as_of_us.max(), rows.event_us.max()),
                tenure: days_before(rows.as_of_us.max(), rows.event_us.min()),
            },
        ),
    )


def _value_total(entity: Entity) -> FeatureView:
    mean_name, std_name = f"{entity}_value_mean_total", f"{entity}_value_std_total"
    return FeatureView(
        name=f"{entity}_value_total",
        entity=entity,
        source=Source.EVENTS,
        window=None,
        ttl=WITHOUT_END,
        owner=OWNER,
        description="The values (ratings, prices, seconds) of all events: their mean and spread.",
        features=(Feature(mean_name), Feature(std_name)),
        expression=lambda rows: per_entity(
            rows,
            **{mean_name: mean(rows.value_milli) / 1000, std_name: standard_deviation(rows.value_milli) / 1000},
        ),
    )


def _value_recent(entity: Entity, days: int) -> FeatureView:
    name = f"{entity}_value_mean_{days}d"
    return FeatureView(
        name=f"{entity}_value_{days}d",
        entity=entity,
        source=Source.EVENTS,
        window=timedelta(days=days),
        ttl=_serving_ttl(days),
        owner=OWNER,
        description=f"The mean value of the last {days} days' events.",
        features=(Feature(name),),
        expression=lambda rows: per_entity(rows, **{name: mean(rows.value_milli) / 1000}),
    )


_RELEASE_YEARS = FeatureView(
    name="user_release_years_total",
    entity=Entity.USER,
    source=Source.EVENTS,
    window=None,
    ttl=WITHOUT_END,
    owner=OWNER,
    description="From which years the things come that a person chose: old or new, one period or all.",
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
    ttl=_serving_ttl(30),
    owner=OWNER,
    description="From which years the things come that a person chose lately.",
    features=(Feature("user_release_year_mean_30d"),),
    expression=lambda rows: per_entity(rows, user_release_year_mean_30d=mean(rows.release_year)),
)


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


def _share_of_events(rows: Rows, days: int) -> Column:
    return within_days(rows, days).cast("int64").sum().cast("float64") / rows.count()


def _item_trend(days: int, of_days: int) -> FeatureView:
    name = f"item_event_trend_{days}d_of_{of_days}d"
    return FeatureView(
        name=f"item_trend_{of_days}d",
        entity=Entity.ITEM,
        source=Source.EVENTS,
        window=timedelta(days=of_days),
        ttl=_serving_ttl(of_days),
        owner=OWNER,
        description=f"The share of the last {of_days} days' events that fell into the last {days}: rising or fading.",
        features=(Feature(name),),
        expression=lambda rows: per_entity(rows, **{name: _share_of_events(rows, days)}),
    )


def _item_origin(rows: Rows) -> Rows:
    year_now = EPOCH_YEAR + rows.as_of_us / (MICROSECONDS_PER_DAY * DAYS_PER_YEAR)
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

_USER_VIEWS = (
    *(_event_count(Entity.USER, days) for days in COUNT_WINDOWS_DAYS),
    _life_total(Entity.USER),
    _value_total(Entity.USER),
    _value_recent(Entity.USER, 30),
    _RELEASE_YEARS,
    _RELEASE_YEARS_RECENT,
    _CATEGORY_TASTE,
    _DEMOGRAPHICS,
)
_ITEM_VIEWS = (
    *(_event_count(Entity.ITEM, days) for days in COUNT_WINDOWS_DAYS),
    _life_total(Entity.ITEM),
    _value_total(Entity.ITEM),
    _value_recent(Entity.ITEM, 90),
    _ITEM_AUDIENCE,
    _item_trend(7, of_days=30),
    _item_trend(30, of_days=365),
    _ITEM_ORIGIN,
)

ALL_VIEWS = tuple(chain(_USER_VIEWS, _ITEM_VIEWS))
