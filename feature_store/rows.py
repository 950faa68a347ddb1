"""From stored values to the values that are used: the one path that every reader takes."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import numpy.typing as npt

from contracts.features import FeatureRows, FeatureSchema, History, Person, expire, fill_missing
from contracts.ids import FloatArray
from feature_store.packing import moment_of


def usable_rows(
    schema: FeatureSchema,
    values: FloatArray,
    written: npt.NDArray[np.int64],
    known: npt.NDArray[np.bool_],
    now: datetime,
) -> FeatureRows:
    """Stored rows (NaN where missing) with what is older than its TTL taken out and defaults filled in.

    written: (n_entities,) epoch seconds at which each row was true.
    """
    fresh = values
    for seconds in np.unique(written[known]):
        of_that_time = (known & (written == seconds))[:, None]
        fresh = np.where(of_that_time, expire(schema, values, moment_of(int(seconds)), now), fresh)
    return FeatureRows(fill_missing(schema, fresh), known)


def default_rows(schema: FeatureSchema, n_entities: int) -> FeatureRows:
    """Rows of entities nobody knows: all defaults."""
    return FeatureRows(np.tile(schema.defaults, (n_entities, 1)), np.zeros(n_entities, dtype=bool))


def unknown_person(schema: FeatureSchema) -> Person:
    """Somebody nobody knows."""
    return Person(default_rows(schema, 1), History.empty(), History.empty())
