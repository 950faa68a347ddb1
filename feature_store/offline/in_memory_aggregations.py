"""Views declared by aggregations, over tables in memory: the quick way (see `trailing_windows`)."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from contracts.features import Entity
from contracts.returns import NEVER_TAKEN_BACK
from feature_store.definitions.views import KEY, EventTypes, FeatureView
from feature_store.offline.events import of_types
from feature_store.offline.trailing_windows import EventRuns, Moments


@dataclass(frozen=True)
class SearchedKeys:
    """Keys (entity_id, as_of_us) in the order in which the runs are searched for them."""

    rows: pl.DataFrame
    moments: Moments


class InMemoryAggregations:
    """The events of an entity, to aggregate for keys.

    events: `<entity>_id`, event_type, event_us, value_milli, taken_back_us; null where an event has no value, and where
    it was not taken back. ids: of all entities that are asked about, each once.
    """

    def __init__(self, events: pl.DataFrame, ids: pl.Series, entity: Entity) -> None:
        self._numbers = pl.DataFrame({"entity_id": ids}).with_row_index("code")
        code = self._codes(events[f"{entity}_id"])
        self._events = events.select(code, "event_type", "event_us", "value_milli", "taken_back_us").drop_nulls("code")
        self._runs: dict[EventTypes, EventRuns] = {}

    def searched(self, keys: pl.DataFrame) -> SearchedKeys:
        """The keys, of which each is there once."""
        codes = self._codes(keys["entity_id"]).to_numpy()
        moments = Moments(codes, keys["as_of_us"].to_numpy(), len(self._numbers))
        return SearchedKeys(keys.select(KEY)[moments.order], moments)

    def compute(self, view: FeatureView, keys: SearchedKeys) -> pl.DataFrame:
        """One row per key, in the order searched: KEY, then a column per feature, null where missing."""
        columns = {}
        for event_types, functions in view.functions_by_type.items():
            runs = self._runs_of(event_types)
            spans = runs.spans(keys.moments, view.reach_us)
            for name, function in functions.items():
                columns[name] = pl.Series(runs.aggregate(function, spans), nan_to_null=True)
        return keys.rows.with_columns(**columns)

    def _runs_of(self, event_types: EventTypes) -> EventRuns:
        """The events of these types, or all where none is named; searched for once."""
        if event_types not in self._runs:
            events = self._events.filter(of_types(event_types))
            value, taken_back_us = events["value_milli"], events["taken_back_us"]
            self._runs[event_types] = EventRuns(
                events["code"].to_numpy(),
                events["event_us"].to_numpy(),
                value.fill_null(0).to_numpy(),
                value.is_not_null().to_numpy(),
                len(self._numbers),
                None
                if taken_back_us.null_count() == len(events)
                else taken_back_us.fill_null(NEVER_TAKEN_BACK).to_numpy(),
            )
        return self._runs[event_types]

    def _codes(self, ids: pl.Series) -> pl.Series:
        """Each entity as a number; null where it is not asked about."""
        rows = pl.DataFrame({"entity_id": ids})
        joined = rows.join(self._numbers, "entity_id", how="left", maintain_order="left", nulls_equal=True)
        return joined["code"].cast(pl.Int32)
