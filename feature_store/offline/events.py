"""The events that features are made of, as the engines see them."""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

from contracts.events import EventType
from contracts.positive_events import positive_events
from contracts.returns import TAKEN_BACK_TS

# The dearest thing in the smallest currency, and what `POST /v1/events` takes. Thousandths of nine million of them add
# up within 64 bits.
LARGEST_VALUE = 1e9


def of_types(event_types: Collection[EventType]) -> pl.Expr:
    """Whether an event is of one of these types; every event is where none is named."""
    return pl.col("event_type").is_in([str(kind) for kind in event_types]) if event_types else pl.lit(True)


def event_columns(interactions: pl.DataFrame) -> pl.DataFrame:
    """The positive events among these, with as many of Source.EVENTS' own columns as the interactions have.

    taken_back_us: when a purchase was taken back, null where it was not; there if the interactions have `taken_back_ts`
    (`contracts.returns.with_taken_back_ts`).
    """
    ids_and_type = [name for name in ("user_id", "item_id", "session_id", "event_type") if name in interactions.columns]
    moments = [name for name in ("event_ts", TAKEN_BACK_TS) if name in interactions.columns]
    return positive_events(interactions).select(
        *ids_and_type,
        *(pl.col(name).dt.epoch("us").alias(name.replace("_ts", "_us")) for name in moments),
        value_milli=thousandths("value"),
    )


def thousandths(column: str) -> pl.Expr:
    """A number as a whole number of thousandths; null where it has none."""
    value = pl.col(column).fill_nan(None).clip(-LARGEST_VALUE, LARGEST_VALUE)
    return (value * 1000).round().cast(pl.Int64)
