"""Views declared by aggregations, over tables in memory: the quick way (see `trailing_windows`)."""

from __future__ import annotations

from functools import cached_property

import polars as pl

from contracts.features import Entity
from contracts.returns import NEVER_TAKEN_BACK
from feature_store.definitions.views import KEY, EventTypes, FeatureView
from feature_store.offline.events import of_types
from feature_store.offline.trailing_windows import EventRuns, Moments


class InMemoryAggregations:
    """The events of an entity, beside the keys (entity_id, as_of_us) to aggregate for.

    events: `<entity>_id`, event_type, event_us, value_milli, taken_back_us; null where an event has no value, and where
    it was not taken back.
    """

    def __init__(self, events: pl.DataFrame, keys: pl.DataFrame, entity: Entity) -> None:
        self._events = events.select(
            pl.col(f"{entity}_id").alias("entity_id"), "event_type", "event_us", "value_milli", "taken_back_us"
        )
        self._keys = keys
        self._runs: dict[EventTypes, EventRuns] = {}

    def compute(self, view: FeatureView) -> pl.DataFrame:
        """One row per key, in the order searched: KEY, then a column per feature, null where missing."""
        columns = {}
        for event_types, functions in view.functions_by_type.items():
            runs = self._runs_of(event_types)
            spans = runs.spans(self._moments, view.reach_us)
            for name, function in functions.items():
                columns[name] = pl.Series(runs.aggregate(function, spans), nan_to_null=True)
        return self._sorted_keys.with_columns(**columns)

    def _runs_of(self, event_types: EventTypes) -> EventRuns:
        """The events of these types, or all where none is named; searched for once."""
        if event_types not in self._runs:
            codes, _, n_entities = self._codes
            of_keys = pl.col("code").is_not_null()
            events = self._events.with_columns(code=codes).filter(of_types(event_types) & of_keys)
            value, taken_back_us = events["value_milli"], events["taken_back_us"]
            self._runs[event_types] = EventRuns(
                events["code"].to_numpy(),
                events["event_us"].to_numpy(),
                value.fill_null(0).to_numpy(),
                value.is_not_null().to_numpy(),
                n_entities,
                None
                if taken_back_us.null_count() == len(events)
                else taken_back_us.fill_null(NEVER_TAKEN_BACK).to_numpy(),
            )
        return self._runs[event_types]

    @cached_property
    def _codes(self) -> tuple[pl.Series, pl.Series, int]:
        """Each event's entity and each key's as a number, and how many there are."""
        numbers = self._keys.select(pl.col("entity_id").unique()).with_row_index("code")
        events, keys = (
            table.join(numbers, "entity_id", how="left", maintain_order="left", nulls_equal=True)["code"].cast(pl.Int32)
            for table in (self._events, self._keys)
        )
        return events, keys, len(numbers)

    @cached_property
    def _moments(self) -> Moments:
        _, codes, n_entities = self._codes
        return Moments(codes.to_numpy(), self._keys["as_of_us"].to_numpy(), n_entities)

    @cached_property
    def _sorted_keys(self) -> pl.DataFrame:
        return self._keys.select(KEY)[self._moments.order]
