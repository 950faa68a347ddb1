"""Reads the source that the parameters name, and writes it as canonical tables."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import polars as pl

from contracts.errors import SourceError
from contracts.home import Home
from contracts.settings.ingest import IngestSettings
from contracts.tables import CanonicalTables
from sources.canonical.canonical import conform
from sources.canonical.event_sorter import EventSorter
from sources.canonical.ingest_report import IngestReport
from sources.files.data_files import is_url, local_root
from sources.files.export_reader import write_tables
from sources.movielens.downloads import fetch_movielens_100k
from sources.movielens.grouplens import fetch_movielens
from sources.movielens.movielens import read_movielens
from sources.simulator.world_spec import WorldSpec, world_kind
from sources.simulator.world_tables import simulate_tables
from sources.traffic.served_traffic import NO_TRAFFIC, ServedTraffic


def write_source(
    settings: IngestSettings, home: Home, folder: Path, traffic: ServedTraffic = NO_TRAFFIC
) -> IngestReport:
    """Write what the source holds into `folder`, as canonical tables; `ingest.path` is relative to the current folder.

    traffic: joined to the source's own. Raises SourceError, naming what to do, when something cannot be read.
    """
    if settings.source == "files" and settings.files is not None:
        return write_tables(settings.files, _root(settings), folder, traffic)
    with closing(EventSorter(folder / "unsorted.part", name="impressions")) as impressions:
        tables = _joined(read_source(settings, home, impressions), traffic)
        tables.save(folder)
        for file, batch in traffic.impressions():
            impressions.add(batch, file)
        if impressions.n_rows:
            impressions.write(folder)
    rows = {name: len(getattr(tables, name)) for name in ("interactions", "items", "users")}
    if impressions.n_rows:
        rows["impressions"] = impressions.n_rows
    return IngestReport(rows=rows, served=traffic.counts())


def _joined(tables: CanonicalTables, traffic: ServedTraffic) -> CanonicalTables:
    """The tables with the interactions of the traffic; its impressions are too many to hold in memory."""
    served = [batch.drop("row") for _, batch in traffic.interactions()]
    if not served:
        return tables
    interactions = conform(pl.concat([tables.interactions, *served]), "interactions")
    return replace(tables, interactions=interactions, users=traffic.with_new_people(tables.users))


def read_source(settings: IngestSettings, home: Home, impressions: EventSorter) -> CanonicalTables:
    """Read a source that fits into memory, which is every one but `files`. impressions: takes the impressions."""
    if settings.source == "movielens-100k":
        return read_movielens(fetch_movielens_100k(home))
    if settings.simulator is not None and settings.source == "simulator":
        world = settings.simulator
        spec = WorldSpec(world_kind(world.kind), world.n_users, world.n_items, world.n_days, world.seed)
        return simulate_tables(spec, impressions)
    return read_movielens(fetch_movielens(settings.name, home) if settings.name else Path(_root(settings)))


def _root(settings: IngestSettings) -> str:
    root = local_root(settings.path, Path.cwd())
    if not is_url(root) and not Path(root).exists():
        raise SourceError(
            f"ingest.path is {settings.path}: {root} is not there.",
            "Put the data there, or set ingest.path in params.yaml to where it is.",
        )
    return root
