"""How a feature view is declared, and the words its expression may use.

A view is declared once, as an Ibis expression over canonical tables or as aggregations, each of which stands for one.
The training table, the published row and the default of a missing value all come from that one declaration (see
`offline`). The declarations are in the files of `definitions`.

Two rules keep a value the same on every machine and engine:

- times are integers, microseconds since the epoch, so that no time zone can shift a boundary;
- sums are over integers (values are taken in thousandths), so that the order of threads cannot change a bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from contracts.calendar import MICROSECONDS_PER_DAY
from contracts.events import EventType
from contracts.features import Entity

KEY = ["entity_id", "as_of_us"]
WHOLE = "decimal(19, 0)"  # 64 bits as a decimal, whose product with another of them is exact

# None of them: all.
EventTypes = tuple[EventType, ...]
# Ibis publishes no types for the values inside a table.
Rows = Any
Column = Any


class Source(StrEnum):
    """What a view's expression is handed, one row per (entity, as_of) and ...

    EVENTS: event before it, within the view's reach: event_us, event_type, user_id, item_id, session_id, value_milli,
    and of the item release_year, categories, price_milli, created_us, and of the person age, female, signup_us.
    ATTRIBUTES: entity: what the entity's own table says of it (the same columns), at any time.
    """

    EVENTS = "events"
    ATTRIBUTES = "attributes"


class AggregateFunction(StrEnum):
    """What an aggregation makes of events.

    COUNT: how many; MEAN_VALUE: the mean of their values, missing where none has one; DAYS_SINCE_LAST and
    DAYS_SINCE_FIRST: how many days before as_of the last and the first of them lies, missing where there is none.
    """

    COUNT = "count"
    MEAN_VALUE = "mean_value"
    DAYS_SINCE_LAST = "days_since_last"
    DAYS_SINCE_FIRST = "days_since_first"


@dataclass(frozen=True)
class Aggregation:
    """An aggregate function over the events in a view's reach. Every engine knows it, and it has a quick way beside the
    expression (see `trailing_windows`).

    event_types: the kinds of events that count; none named: all.
    """

    function: AggregateFunction
    event_types: EventTypes = ()

    def over(self, rows: Rows) -> Column:
        """The aggregation as a column over an expression's rows (Source.EVENTS)."""
        match self.function:
            case AggregateFunction.COUNT:
                return rows.count(where=self._is_counted(rows))
            case AggregateFunction.MEAN_VALUE:
                return mean(self._only_counted(rows, rows.value_milli)) / 1000
            case AggregateFunction.DAYS_SINCE_LAST:
                return days_before(rows.as_of_us.max(), self._only_counted(rows, rows.event_us).max())
            case AggregateFunction.DAYS_SINCE_FIRST:
                return days_before(rows.as_of_us.max(), self._only_counted(rows, rows.event_us).min())

    def _is_counted(self, rows: Rows) -> Column | None:
        return rows.event_type.isin([str(kind) for kind in self.event_types]) if self.event_types else None

    def _only_counted(self, rows: Rows, column: Column) -> Column:
        is_counted = self._is_counted(rows)
        return column if is_counted is None else is_counted.ifelse(column, None)


@dataclass(frozen=True)
class Feature:
    """One column of a view.

    when_empty: its value where no event tells of it: 0 for counts, None (missing) for others.
    rests_on: a feature of the same entity without which this one says nothing: both are learnt, or neither.

    >>> Feature("user_view_count_7d", when_empty=0.0)
    Feature(name='user_view_count_7d', when_empty=0.0, rests_on=None)
    """

    name: str
    when_empty: float | None = None
    rests_on: str | None = None


@dataclass(frozen=True)
class FeatureView:
    """Features of one entity that share a source, a window and a TTL.

    window: how far back events count; None for all within the TTL.
    ttl: older is missing: an event older than this when the value is computed, a stored value when it is read.
    expression: from the rows of the source (see Source) to one row per KEY with a column per feature; a key may be left
    out. aggregations: instead of an expression, one for each feature. owner: whom to ask.
    Raises ValueError when a view has both, or neither, or not an aggregation for each feature.

    How often a person viewed something in a week, and when they last did:

    >>> view = FeatureView(
    ...     name="user_views_7d",
    ...     entity=Entity.USER,
    ...     source=Source.EVENTS,
    ...     window=timedelta(days=7),
    ...     ttl=timedelta(days=30),
    ...     owner="recommendations",
    ...     description="How often a person viewed something in a week, and when they last did.",
    ...     features=(Feature("user_view_count_7d", when_empty=0.0), Feature("user_view_recency_days_7d")),
    ...     aggregations=(
    ...         Aggregation(AggregateFunction.COUNT, (EventType.VIEW,)),
    ...         Aggregation(AggregateFunction.DAYS_SINCE_LAST, (EventType.VIEW,)),
    ...     ),
    ... )
    >>> view.reach.days
    7
    """

    name: str
    entity: Entity
    source: Source
    window: timedelta | None
    ttl: timedelta
    owner: str
    description: str
    features: tuple[Feature, ...]
    expression: Callable[[Rows], Rows] | None = None
    aggregations: tuple[Aggregation, ...] = ()

    def __post_init__(self) -> None:
        if (self.expression is None) == (not self.aggregations) or (
            self.aggregations and len(self.aggregations) != len(self.features)
        ):
            raise ValueError(f"View {self.name} needs an expression, or an aggregation for each of its features")

    def computed_from(self, rows: Rows) -> Rows:
        """The view over the rows of its source: entity_id, as_of_us, and its features in order."""
        if self.expression is not None:
            computed = self.expression(rows)
        else:
            named = zip(self.features, self.aggregations, strict=True)
            computed = per_entity(rows, **{feature.name: aggregation.over(rows) for feature, aggregation in named})
        return computed.select(*KEY, *(feature.name for feature in self.features))

    @property
    def functions_by_type(self) -> dict[EventTypes, dict[str, AggregateFunction]]:
        """The functions of its aggregations by the name of the feature, for each set of event types that they count."""
        functions: dict[EventTypes, dict[str, AggregateFunction]] = {}
        for feature, aggregation in zip(self.features, self.aggregations, strict=True):
            functions.setdefault(aggregation.event_types, {})[feature.name] = aggregation.function
        return functions

    @property
    def reach(self) -> timedelta:
        """An event counts when as_of - reach <= event_ts < as_of."""
        return self.ttl if self.window is None else min(self.window, self.ttl)

    @property
    def reach_us(self) -> int:
        return self.reach // timedelta(microseconds=1)


def per_entity(rows: Rows, **aggregates: Column) -> Rows:
    """One row per (entity, as_of)."""
    return rows.group_by(KEY).aggregate(**aggregates)


def mean(column: Column) -> Column:
    """The mean of an integer column; null where it has no value."""
    return column.sum().cast("float64") / column.count().nullif(0)


def standard_deviation(column: Column) -> Column:
    """The standard deviation over the whole group (divided by n) of an integer column; null where it has no value."""
    # Exactly, as whole numbers: of two floats the difference can be anything where the spread is small. 64 bits do not
    # hold the square of a price in thousandths.
    whole = column.cast(WHOLE)
    n, total, of_squares = column.count(), column.sum().cast(WHOLE), (whole * whole).sum()
    return (of_squares * n.cast(WHOLE) - total * total).cast("float64").sqrt() / n.nullif(0)


def days_before(as_of_us: Column, event_us: Column) -> Column:
    """How many days the event lies before as_of."""
    return (as_of_us - event_us) / MICROSECONDS_PER_DAY


def days_since(as_of_us: Column, then_us: Column) -> Column:
    """How many days as_of lies after then; missing where it does not: what is to come is not known."""
    return (then_us < as_of_us).ifelse(days_before(as_of_us, then_us), None)
