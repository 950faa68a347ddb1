"""The data to measure on, brought by the stages `ingest` and `validate` into a workspace of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from contracts.errors import SourceError
from contracts.settings.settings import Settings, load_settings
from contracts.stage_code import GRAPH, ROOMS
from contracts.tables import CanonicalTables
from pipelines.paths import VALID

CHECKOUT: Final = Path(__file__).resolve().parents[2]
SHIPPED: Final = "MovieLens 100K"
# Volumes and drift are held against MovieLens 100K, which another data set need not resemble.
OF_ANOTHER: Final[Mapping[str, Any]] = {"baseline": "baseline.json", "max_user_share": 1.0}


@dataclass(frozen=True)
class Workspace:
    """A folder with this checkout's code, its parameters, and valid data. name: of the data."""

    folder: Path
    name: str

    @property
    def settings(self) -> Settings:
        return load_settings(self.folder / "params.yaml")

    def tables(self) -> CanonicalTables:
        return CanonicalTables.load(self.folder / VALID, impressions=False)

    def run(self, module: str, *arguments: str) -> None:
        """Run one of our modules in it, in a process of its own; raises SourceError with its last words."""
        command = [sys.executable, "-m", module, *arguments]
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        done = subprocess.run(command, check=False, cwd=self.folder, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SourceError(
                f"`python -m {module}` ended with {done.returncode}:\n{done.stderr[-2000:]}",
                f"Look at it in {self.folder}.",
            )


def prepare(folder: Path, movielens: Path | None) -> Workspace:
    """MovieLens 100K, or a folder or zip as GroupLens publishes it, ready to be judged on; what was there goes."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "traffic").mkdir(parents=True)
    (folder / "baseline.json").write_text('{"tables": {}}')
    for name in (*ROOMS, str(GRAPH), "baselines"):
        (folder / name).symlink_to(CHECKOUT / name)
    yaml = YAML()
    params = yaml.load((CHECKOUT / "params.yaml").read_text(encoding="utf-8"))
    if movielens is not None:
        params["ingest"].update({"source": "movielens", "path": str(movielens.resolve())})
        params["validate"].update(OF_ANOTHER)
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(params, file)
    workspace = Workspace(folder, SHIPPED if movielens is None else movielens.resolve().stem)
    for stage in ("ingest", "validate"):
        workspace.run(f"pipelines.{stage}")
    return workspace
