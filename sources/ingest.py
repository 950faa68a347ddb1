"""What ingest reads, as the parameters say it."""

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
from sources.canonical.event_spool import Spool
from sources.files.data_files import is_url, local_root
from sources.files.files import Report, write_tables
from sources.movielens.downloads import fetch_movielens_100k
from sources.movielens.grouplens import fetch_movielens
from sources.movielens.movielens import read_movielens
from sources.simulator.nature import Spec, kind_named
from sources.simulator.read import simulate_tables
from sources.traffic.served_traffic import NO_TRAFFIC, ServedTraffic


def write_source(settings: IngestSettings, home: Home, folder: Path, traffic: ServedTraffic = NO_TRAFFIC) -> Report:
    """Write what the source holds into `folder`, as canonical tables; `ingest.path` is relative to the current folder.

    traffic: joined to the source's own. Raises SourceError, naming what to do, when something cannot be read.
    """
    if settings.source == "files" and settings.files is not None:
        return write_tables(settings.files, _root(settings), folder, traffic)
    with closing(Spool(folder / "spool.part", name="impressions")) as shown:
        tables = _joined(read_source(settings, home, shown), traffic)
        tables.save(folder)
        for file, batch in traffic.impressions():
            shown.add(batch, file)
        if shown.n_rows:
            shown.write(folder)
    rows = {name: len(getattr(tables, name)) for name in ("interactions", "items", "users")}
    n_shown = {"impressions": shown.n_rows} if shown.n_rows else {}
    return Report(rows=rows | n_shown, served=traffic.counts())


def _joined(tables: CanonicalTables, traffic: ServedTraffic) -> CanonicalTables:
    """The tables with what people did since; what they were shown is too much to be held."""
    served = [batch.drop("row") for _, batch in traffic.interactions()]
    if not served:
        return tables
    interactions = conform(pl.concat([tables.interactions, *served]), "interactions")
    return replace(tables, interactions=interactions, users=traffic.with_new_people(tables.users))


def read_source(settings: IngestSettings, home: Home, shown: Spool) -> CanonicalTables:
    """The tables of a source that is read into memory: every one but `files`. shown: takes the impressions."""
    if settings.source == "movielens-100k":
        return read_movielens(fetch_movielens_100k(home))
    if settings.simulator is not None and settings.source == "simulator":
        asked = settings.simulator
        spec = Spec(kind_named(asked.kind), asked.n_users, asked.n_items, asked.n_days, asked.seed)
        return simulate_tables(spec, shown)
    return read_movielens(fetch_movielens(settings.name, home) if settings.name else Path(_root(settings)))


def _root(settings: IngestSettings) -> str:
    root = local_root(settings.path, Path.cwd())
    if not is_url(root) and not Path(root).exists():
        raise SourceError(
            f"ingest.path is {settings.path}: {root} is not there.",
            "Put the data there, or set ingest.path in params.yaml to where it is.",
        )
    return root
