"""From stored values to those that are used: what is past its TTL is missing, and what is missing gets its default.

Every reader takes this one path.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import numpy.typing as npt

from contracts.features import FeatureSchema, History, Person, ReadRows, RecentEvents, expire, fill_missing
from contracts.ids import FloatArray
from feature_store.online.packing import moment_of


def usable_rows(
    schema: FeatureSchema,
    values: FloatArray,
    written: npt.NDArray[np.int64],
    known: npt.NDArray[np.bool_],
    now: datetime,
) -> ReadRows:
    """Stored rows (NaN where missing) without the values past their TTL, and with defaults filled in.

    written: (n_entities,) epoch seconds at which each row was true.
    """
    fresh = values
    for seconds in sorted(set(written[known].tolist())):
        of_that_time = (known & (written == seconds))[:, None]
        fresh = np.where(of_that_time, expire(schema, values, moment_of(seconds), now), fresh)
    return ReadRows(fill_missing(schema, fresh), known, np.isnan(fresh), np.where(known, written, 0))


def default_rows(schema: FeatureSchema, n_entities: int) -> ReadRows:
    """Rows of entities of which nothing is known: all defaults."""
    values = np.tile(schema.defaults, (n_entities, 1))
    return ReadRows(values, np.zeros(n_entities, bool), np.ones_like(values, bool), np.zeros(n_entities, np.int64))


def unknown_person(schema: FeatureSchema) -> Person:
    """A person of whom the store knows nothing."""
    return Person(default_rows(schema, 1), History.empty(), RecentEvents.empty(), RecentEvents.empty())
