"""A simulated world as the canonical tables that everything after ingestion sees."""

from __future__ import annotations

import polars as pl
from tqdm import tqdm

from contracts.tables import IMPRESSIONS_SCHEMA, CanonicalTables
from sources.canonical.canonical import canonical_tables
from sources.canonical.event_spool import Spool
from sources.simulator.nature import Spec
from sources.simulator.world import Day, World


def simulate_tables(spec: Spec, shown: Spool | None = None) -> CanonicalTables:
    """What happened in the world under the logging policy. shown: takes the impressions; the tables are without."""
    world = World(spec)
    progress = tqdm(world.days(), total=spec.n_days, desc=f"simulate {spec.kind}", unit="day", disable=None)
    interactions = []
    for number, day in enumerate(progress):
        interactions.append(day.interactions)
        if shown is not None:
            shown.add(_impressions(day), f"day {number} of the world")
    return canonical_tables(pl.concat(interactions), world.items_table(), world.users())


def _impressions(day: Day) -> pl.DataFrame:
    """A day's impressions in the columns of the canonical table that a world fills, with `row`, from 1."""
    known = [column for column in IMPRESSIONS_SCHEMA if column in day.impressions.columns]
    return day.impressions.select(known).with_row_index("row", offset=1).with_columns(pl.col("row").cast(pl.Int64))
