"""What ingest reads, as the parameters say it."""

from __future__ import annotations

from pathlib import Path

from contracts.errors import SourceError
from contracts.home import Home
from contracts.settings import IngestSettings
from contracts.tables import SCHEMAS, CanonicalTables
from sources.downloads import fetch_movielens_100k
from sources.files import Report, write_tables
from sources.grouplens import fetch_movielens
from sources.movielens import read_movielens
from sources.places import is_url, local_root
from sources.simulator.nature import Spec, kind_named
from sources.simulator.read import simulate_tables


def write_source(settings: IngestSettings, home: Home, folder: Path) -> Report:
    """Write what the source holds into `folder`, as canonical tables; `ingest.path` is relative to the current folder.

    Raises SourceError, naming what to do, when it cannot be read.
    """
    if settings.source == "files" and settings.files is not None:
        return write_tables(settings.files, _root(settings), folder)
    tables = read_source(settings, home)
    tables.save(folder)
    return Report(rows={name: len(getattr(tables, name)) for name in SCHEMAS})


def read_source(settings: IngestSettings, home: Home) -> CanonicalTables:
    """The tables of a source that is read into memory: every one but `files`."""
    if settings.source == "movielens-100k":
        return read_movielens(fetch_movielens_100k(home))
    if settings.simulator is not None and settings.source == "simulator":
        asked = settings.simulator
        spec = Spec(kind_named(asked.kind), asked.n_users, asked.n_items, asked.n_days, asked.seed)
        return simulate_tables(spec)
    return read_movielens(fetch_movielens(settings.name, home) if settings.name else Path(_root(settings)))


def _root(settings: IngestSettings) -> str:
    root = local_root(settings.path, Path.cwd())
    if not is_url(root) and not Path(root).exists():
        raise SourceError(
            f"ingest.path is {settings.path}: {root} is not there.",
            "Put the data there, or set ingest.path in params.yaml to where it is.",
        )
    return root
