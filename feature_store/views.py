"""How a feature view is declared, and the words its expression may use.

A view is declared once, as an Ibis expression over canonical tables; the training table, the published row and the
default of a missing value all come from that one declaration (see `offline`). The declarations are in the files of
`definitions`.

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

from contracts.features import Entity

MICROSECONDS_PER_HOUR = 3_600_000_000
MICROSECONDS_PER_DAY = 24 * MICROSECONDS_PER_HOUR
KEY = ["entity_id", "as_of_us"]

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


@dataclass(frozen=True)
class Feature:
    """One column of a view.

    when_empty: its value where no event speaks of it: 0 for counts, None (missing) for others.
    rests_on: a feature of the same entity without which this one says nothing: both are learnt, or neither.
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
    out. owner: whom to ask.
    """

    name: str
    entity: Entity
    source: Source
    window: timedelta | None
    ttl: timedelta
    owner: str
    description: str
    features: tuple[Feature, ...]
    expression: Callable[[Rows], Rows]

    @property
    def reach(self) -> timedelta:
        """An event counts when as_of - reach <= event_ts < as_of."""
        return self.ttl if self.window is None else min(self.window, self.ttl)


def per_entity(rows: Rows, **aggregates: Column) -> Rows:
    """One row per (entity, as_of)."""
    return rows.group_by(KEY).aggregate(**aggregates)


def mean(column: Column) -> Column:
    """The mean of an integer column; null where it has no value."""
    return column.sum().cast("float64") / column.count().nullif(0)


def standard_deviation(column: Column) -> Column:
    """The standard deviation over the whole group (divided by n) of an integer column; null where it has no value."""
    mean_of_squares = (column * column).sum().cast("float64") / column.count().nullif(0)
    variance = mean_of_squares - mean(column) * mean(column)
    # Rounding can leave a hair below zero. Not `greatest`, which makes a missing value 0.
    return variance.clip(lower=0.0).sqrt()


def days_before(as_of_us: Column, event_us: Column) -> Column:
    """How many days the event lies before as_of."""
    return (as_of_us - event_us) / MICROSECONDS_PER_DAY


def days_since(as_of_us: Column, then_us: Column) -> Column:
    """How many days as_of lies after then; missing where it does not: what is to come is not known."""
    return (then_us < as_of_us).ifelse(days_before(as_of_us, then_us), None)
