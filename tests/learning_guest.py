"""A guest that needs no packages of its own: it learns how often it was asked for, and dies where it is told to."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recommender.generators.deep.training.exchange import Arrays, Checkpoints, run_training


def learn(given: Arrays, settings: Mapping[str, Any], folder: Path) -> Arrays:
    """Twice what it is given; dies after its first epoch, once, where settings say `dies`."""
    checkpoints = Checkpoints(folder)
    n_done, _ = checkpoints.load_last()
    if not n_done:
        checkpoints.save(1, given)
        if settings["dies"]:
            os.kill(os.getpid(), signal.SIGKILL)
    with (Path(settings["told"])).open("a") as told:
        told.write(f"{n_done} ")
    return {"twice": 2 * given["numbers"]}


if __name__ == "__main__":
    run_training(learn)
