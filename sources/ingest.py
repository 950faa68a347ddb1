"""What ingest reads, as the parameters say it."""

from __future__ import annotations

from pathlib import Path

from contracts.errors import SourceError
from contracts.home import Home, main_checkout
from contracts.settings import IngestSettings
from contracts.tables import CanonicalTables
from sources.downloads import fetch_movielens_100k
from sources.movielens import read_movielens
from sources.simulator.nature import Spec, kind_named
from sources.simulator.read import simulate_tables


def read_source(settings: IngestSettings, home: Home) -> CanonicalTables:
    """Read the source that the parameters name into canonical tables.

    A relative path is looked for in the current folder, then in the main checkout (a run in a worktree has no untracked
    files of its own), then in SLATE_HOME/downloads. Raises SourceError, naming what to do, when it cannot be read.
    """
    if settings.source == "movielens-100k":
        return read_movielens(fetch_movielens_100k(home))
    if settings.simulator is not None and settings.source == "simulator":
        asked = settings.simulator
        spec = Spec(kind_named(asked.kind), asked.n_users, asked.n_items, asked.n_days, asked.seed)
        return simulate_tables(spec)
    return read_movielens(_locate(Path(settings.path or "").expanduser(), home))


def _locate(path: Path, home: Home) -> Path:
    if path.exists():
        return path
    # An absolute path stays itself in all of them.
    places = [Path.cwd() / path, main_checkout(Path.cwd()) / path, home.downloads / path]
    for place in places:
        if place.exists():
            return place
    tried = "\n".join(f"  {place}" for place in dict.fromkeys(places))
    raise SourceError(
        f"ingest.path is {path}, which is in none of these places:\n{tried}",
        "Put the MovieLens folder or zip in one of them, or set ingest.path to where it is.",
    )
