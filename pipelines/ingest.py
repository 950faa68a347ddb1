"""Stage `ingest`: the source named in params.yaml, and the served traffic -> `data/raw/`, the canonical tables.

Equal source bytes give equal output bytes. `data/raw/` is replaced as a whole at the end, or not at all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from contracts.home import find_home
from contracts.settings.group import Group
from contracts.settings.group_names import App
from contracts.settings.ingest import IngestSettings
from contracts.whole_files import whole_folder
from pipelines.paths import RAW
from pipelines.stage_run import run_stage
from sources.ingest import write_source
from sources.traffic.served_traffic import ServedTraffic


class Params(Group):
    """What the stage reads of params.yaml."""

    app: App
    ingest: IngestSettings


def run(settings: Params) -> dict[str, Any]:
    """Read the source and write `data/raw/`; returns what came in."""
    traffic = ServedTraffic(Path(settings.ingest.traffic) / settings.app)
    with whole_folder(RAW) as folder:
        report = write_source(settings.ingest, find_home(), folder, traffic)
    print(report)
    return report.to_json()


if __name__ == "__main__":
    run_stage("ingest", Params, run)
