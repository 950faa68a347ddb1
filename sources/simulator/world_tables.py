"""A simulated world as the canonical tables that everything after ingestion sees."""

from __future__ import annotations

import polars as pl

from contracts.progress import Progress
from contracts.tables import IMPRESSIONS_SCHEMA, CanonicalTables
from sources.canonical.canonical import canonical_tables
from sources.canonical.event_sorter import EventSorter
from sources.simulator.world import SimulatedDay, World
from sources.simulator.world_spec import WorldSpec


def simulate_tables(spec: WorldSpec, impressions: EventSorter | None = None) -> CanonicalTables:
    """What happened in the world under the logging policy, without impressions. impressions: takes these."""
    world = World(spec)
    progress = Progress(world.days(), total=spec.n_days, desc=f"simulate {spec.kind}", unit="day")
    interactions = []
    for number, day in enumerate(progress):
        interactions.append(day.interactions)
        if impressions is not None:
            impressions.add(_impressions(day), f"day {number} of the world")
    return canonical_tables(pl.concat(interactions), world.items_table(), world.users())


def _impressions(day: SimulatedDay) -> pl.DataFrame:
    """A day's impressions in the columns of the canonical table that a world fills, with `row`, from 1."""
    known = [column for column in IMPRESSIONS_SCHEMA if column in day.impressions.columns]
    return day.impressions.select(known).with_row_index("row", offset=1).with_columns(pl.col("row").cast(pl.Int64))
