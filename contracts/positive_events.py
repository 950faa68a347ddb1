"""Which rows of interactions say that somebody wanted something: one filter, for splits, models, features and cases."""

from __future__ import annotations

import polars as pl

from contracts.events import POSITIVE_EVENTS


def is_positive() -> pl.Expr:
    """Whether an interaction is of `POSITIVE_EVENTS`."""
    return pl.col("event_type").is_in(POSITIVE_EVENTS)


def positive_events(interactions: pl.DataFrame) -> pl.DataFrame:
    """Those interactions, in their order."""
    return interactions.filter(is_positive())
