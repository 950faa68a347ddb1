"""Runs a stage that exists once per cutoff: `python -m pipelines.<stage> <cutoff>`."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contracts.errors import ArtefactError
from pipelines.paths import FEATURES, Cutoff
from pipelines.stage_run import Params, run_stage
from recommender.split import TimeSplit


def run_matrix_stage(stage: str, params: type[Params], run: Callable[[Params, Cutoff], dict[str, Any] | None]) -> None:
    """Run `run` for the cutoff on the command line; exits with one message when that names none."""
    names = [str(cutoff) for cutoff in Cutoff]
    if len(sys.argv) != 2 or sys.argv[1] not in names:
        sys.exit(f"{stage}: name one cutoff, {' or '.join(names)}: python -m pipelines.{stage} {names[0]}")
    cutoff = Cutoff(sys.argv[1])
    run_stage(stage, params, lambda settings: run(settings, cutoff), cutoff)


def emptied(folder: Path) -> Path:
    """The folder, with nothing of an earlier run left in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def load_split() -> TimeSplit:
    """The time split that the stage `features` wrote; raises ArtefactError when it is missing or damaged."""
    path = FEATURES / "split.json"
    try:
        return TimeSplit.from_json(json.loads(path.read_bytes()))
    except FileNotFoundError as error:
        raise ArtefactError(f"{path} is missing.", "Run `dvc repro features` to build it.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtefactError(f"{path} is damaged: {error!r}.", "Remove it and run `dvc repro features`.") from error
