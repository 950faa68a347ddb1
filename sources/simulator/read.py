"""A simulated world as the canonical tables that everything after ingestion sees."""

from __future__ import annotations

import polars as pl
from tqdm import tqdm

from contracts.tables import CanonicalTables
from sources.canonical import canonical_tables
from sources.simulator.nature import Spec
from sources.simulator.world import World


def simulate_tables(spec: Spec) -> CanonicalTables:
    """What happened in the world under the logging policy, impressions left out."""
    world = World(spec)
    progress = tqdm(world.days(), total=spec.n_days, desc=f"simulate {spec.kind}", unit="day", disable=None)
    interactions = pl.concat([day.interactions for day in progress])
    return canonical_tables(interactions, world.items_table(), world.users())
