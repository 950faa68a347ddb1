"""The report of a run's validation, where DVC had the outputs already and the stage did not run."""

from __future__ import annotations

import shutil

from contracts.whole_files import whole_folder
from pipelines.paths import VALIDATION_RESULT
from pipelines.runs.workspace import Workspace

RESULT = "validation.json"


def bring_report(workspace: Workspace) -> None:
    """See that the run has the report of the result that lies in its workspace: its own, or one of an equal result.

    A report varies from run to run, so that it is no output of the stage, and DVC cannot bring it back. Where no run of
    this SLATE_HOME made one of this result, the run has none.
    """
    mine = workspace.home.runs / workspace.slug / "validation"
    result = (workspace.folder / VALIDATION_RESULT).read_bytes()
    if (mine / RESULT).is_file() and (mine / RESULT).read_bytes() == result:
        return
    for other in sorted(workspace.home.runs.glob(f"*/validation/{RESULT}")):
        if other.read_bytes() == result:
            with whole_folder(mine) as folder:
                shutil.copytree(other.parent, folder, dirs_exist_ok=True)
            return
