"""Stage `ingest`: the source named in params.yaml -> `data/raw/`, the three canonical tables.

Equal source bytes give equal output bytes. `data/raw/` is replaced as a whole at the end, or not at all.
"""

from __future__ import annotations

from typing import Any

from contracts.home import find_home
from contracts.settings import Settings
from contracts.tables import SCHEMAS
from pipelines.paths import RAW
from pipelines.stage_run import run_stage
from sources.folders import whole_folder
from sources.ingest import read_source


def run(settings: Settings) -> dict[str, Any]:
    """Read the source and write `data/raw/`; returns the rows of each table."""
    tables = read_source(settings.ingest, find_home())
    with whole_folder(RAW) as folder:
        tables.save(folder)
    rows = {name: len(getattr(tables, name)) for name in SCHEMAS}
    print(", ".join(f"{count:,} {name}" for name, count in rows.items()))
    return {"rows": rows}


if __name__ == "__main__":
    run_stage("ingest", run)
