"""Builds the profile of a table: counts of what each column holds, in flat memory (see contracts.profiles)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from contracts.profiles import (
    HOURS,
    CategoryProfile,
    ColumnProfile,
    HourProfile,
    NumberProfile,
    PresenceProfile,
    TableProfile,
)

# Quantiles kept of a column of numbers. A comparison is wrong by a 64th at most: what lies between two of them.
N_QUANTILES = 64
MAX_CATEGORIES = 100
# A word in fewer rows is not named: it could identify a person.
LEAST_NAMED = 10


def build_profile(table: pl.LazyFrame) -> TableProfile:
    """The profile of every column of a canonical table, read column by column; none of an empty table."""
    schema = table.collect_schema()
    profile: TableProfile = {column: _maker(column, kind)(table, column) for column, kind in schema.items()}
    return profile if any(column.total for column in profile.values()) else {}


def _maker(column: str, kind: pl.DataType) -> Callable[[pl.LazyFrame, str], ColumnProfile]:
    if kind.is_numeric():
        return _number_profile
    if kind.is_temporal():
        return _hours
    return _categories if column in CATEGORIES else _presence


# All other texts are ids, or written by a person about a person: only their presence is counted.
CATEGORIES = {"event_type", "categories", "gender", "occupation", "device", "day_part", "entry_page"}


def _number_profile(table: pl.LazyFrame, column: str) -> NumberProfile:
    values = table.select(pl.col(column).cast(pl.Float64)).collect()[column]
    finite = values.filter(values.is_finite()).sort().to_numpy()
    missing = len(values) - len(finite)
    uppers, exact = _uppers(finite)
    counts = np.diff(np.searchsorted(finite, uppers, side="right"), prepend=0)
    return NumberProfile(missing=missing, exact=exact, uppers=uppers.tolist(), counts=counts.tolist())


def _uppers(
    ordered: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], bool]:
    starts = np.flatnonzero(np.diff(ordered, prepend=-np.inf) > 0)
    if len(starts) <= N_QUANTILES:
        return ordered[starts], True
    positions = np.linspace(0, len(ordered) - 1, N_QUANTILES + 1).round().astype(np.int64)
    return np.unique(ordered[positions]), False


def _hours(table: pl.LazyFrame, column: str) -> HourProfile:
    counts = _counts(table.select(pl.col(column).dt.hour()), column)
    return HourProfile(missing=counts.pop(None, 0), counts=[counts.get(hour, 0) for hour in range(HOURS)])


def _categories(table: pl.LazyFrame, column: str) -> CategoryProfile:
    words = table.select(column)
    if isinstance(words.collect_schema()[column], pl.List):
        # An empty list has no category, like a null.
        words = words.explode(column, empty_as_null=True)
    counts = _counts(words, column)
    missing = counts.pop(None, 0)
    ranked = sorted(counts, key=lambda word: (-counts[word], word))[:MAX_CATEGORIES]
    named = {word: counts[word] for word in ranked if counts[word] >= LEAST_NAMED}
    return CategoryProfile(missing=missing, counts=named, other=sum(counts.values()) - sum(named.values()))


def _presence(table: pl.LazyFrame, column: str) -> PresenceProfile:
    there = pl.col(column).is_not_null()
    missing, present = table.select((~there).sum(), present=there.sum()).collect(engine="streaming").row(0)
    return PresenceProfile(missing=missing, present=present)


def _counts(values: pl.LazyFrame, column: str) -> dict[Any, int]:
    return dict(values.group_by(column).len().collect(engine="streaming").iter_rows())
