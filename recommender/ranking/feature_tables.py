"""Feature rows of people and items as they were at a moment in the past, for training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
import polars as pl

from contracts.errors import ReleaseMismatch
from contracts.features import FeatureSchema, ReadRows, fill_missing
from contracts.id_map import UNKNOWN
from contracts.ids import FloatArray


@dataclass(frozen=True)
class PointInTimeRows:
    """One entity's feature rows as of several moments.

    table: `<entity>_id`, `as_of` and a column per feature, as `features` writes it; null where missing. Of a file, no
    more is read than one moment's rows.
    Raises ReleaseMismatch when a feature of the schema is not in the table.
    """

    table: pl.DataFrame | pl.LazyFrame
    schema: FeatureSchema

    def __post_init__(self) -> None:
        missing = sorted(set(self.schema.names) - set(self.table.lazy().collect_schema().names()))
        if missing:
            raise ReleaseMismatch(
                f"The training rows of {self.schema.entity} lack {', '.join(missing)}, which the schema has.",
                "They belong to different builds. Run `dvc repro features`.",
            )

    def as_of(self, moment: datetime) -> FeatureTable:
        """The rows of one moment."""
        key = f"{self.schema.entity}_id"
        at_moment = self.table.lazy().filter(pl.col("as_of") == moment)
        rows = at_moment.select(key, *(pl.col(name).cast(pl.Float32) for name in self.schema.names)).collect()
        ids, values = rows[key].to_list(), rows.drop(key).fill_null(float("nan"))
        return FeatureTable({key: position for position, key in enumerate(ids)}, values.to_numpy(), self.schema)


@dataclass(frozen=True)
class FeatureTable:
    """Feature rows by id; an id without a row gets the schema's defaults."""

    position: Mapping[str, int]
    values: FloatArray
    schema: FeatureSchema

    def read(self, ids: Iterable[str | None]) -> ReadRows:
        """The rows in the order asked; None is nobody the table knows. When they were written it does not tell."""
        positions = np.array([UNKNOWN if key is None else self.position.get(key, UNKNOWN) for key in ids], np.int64)
        values = self._values_and_unknown[positions]
        written = np.zeros(len(positions), np.int64)
        return ReadRows(fill_missing(self.schema, values), positions != UNKNOWN, np.isnan(values), written)

    @cached_property
    def _values_and_unknown(self) -> FloatArray:
        """The rows, and after them that of unknown ids (index -1), all missing."""
        return np.concatenate([self.values, np.full((1, len(self.schema.names)), np.nan, np.float32)])
