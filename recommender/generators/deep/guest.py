"""Runs the training of a guest in its environment, in a process of its own, and takes what it learnt.

    SLATE_HOME/trainings/<key>/    what `exchange.py` says, of one training

The key names all that it is made of: the data, the settings, the seed, the program and the packages. So what was
trained is not trained again, and one that was killed goes on from its last checkpoint when it is asked for the next
time. Past a bound, those used longest ago go.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from contracts.artefact import fingerprint_array
from contracts.errors import ArtefactError, StepInterrupted
from contracts.fingerprint import fingerprint_file, fingerprint_json
from contracts.home import find_home
from recommender.generators.deep.environments import GuestEnvironment
from recommender.generators.deep.training.exchange import (
    GIVEN,
    LEARNT,
    Arrays,
    is_whole,
    load_arrays,
    save_arrays,
)

ROOT: Final = Path(__file__).resolve().parents[3]
TRAINING: Final = Path(__file__).with_name("training")
MOST_BYTES: Final = 4 * 2**30  # of all trainings that are kept
# The same bytes on every machine: one thread, and the instructions that all processors of today have, though some have
# more, with which sums round otherwise. The last one is for a GPU.
SETTLED: Final[Mapping[str, str]] = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MKL_CBWR": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}


@dataclass(frozen=True)
class Guest:
    """A program that learns. parameter: what params.yaml calls it; module: run with -m in the environment.

    `pipelines/dependencies.py` reads `module` off the source, so that the program is code of the stages that fit.
    """

    parameter: str
    module: str
    environment: GuestEnvironment


def learnt_by(guest: Guest, arrays: Arrays, settings: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
    """What a guest learns of these arrays with these settings; equal ones give equal bytes.

    Raises EngineMissing where its environment is not made, StepInterrupted where it was killed or failed: its own words
    stand before the message. ArtefactError where what it learnt is damaged, or holds numbers that are not finite.
    """
    folder = find_home().trainings / _key(guest, arrays, settings)
    if not is_whole(folder / LEARNT):
        guest.environment.check_made(guest.parameter)
        if not is_whole(folder / GIVEN):
            save_arrays(folder / GIVEN, GIVEN, arrays, settings)
        _train(guest, folder)
    learnt = _taken(folder)
    _check_finite(guest, folder, learnt)
    os.utime(folder)
    _remove_oldest(folder.parent)
    return learnt


def variables_in(environment: GuestEnvironment) -> dict[str, str]:
    """What a program runs with in an environment: our variables, and those that make its bytes the same anywhere."""
    return {**os.environ, **SETTLED, **environment.variables, "PYTHONPATH": str(ROOT)}


def _taken(folder: Path) -> dict[str, npt.NDArray[Any]]:
    """Copied: the folder may go. What else lies in it does."""
    try:
        arrays, _ = load_arrays(folder / LEARNT, LEARNT)
    except ArtefactError:
        shutil.rmtree(folder / LEARNT)  # damaged: the next run trains it again
        raise
    for other in folder.iterdir():
        if other.is_dir() and other.name != LEARNT:
            shutil.rmtree(other, ignore_errors=True)
    return {name: np.array(array) for name, array in arrays.items()}


def _check_finite(guest: Guest, folder: Path, learnt: Arrays) -> None:
    """Every score of a vector with NaN in it would be NaN. The training goes: nothing can go on from it."""
    broken = sorted(name for name, array in learnt.items() if array.dtype.kind == "f" and not np.isfinite(array).all())
    if not broken:
        return
    shutil.rmtree(folder)
    raise ArtefactError(
        f"The training of {guest.parameter} ended with numbers that are not finite, in {', '.join(broken)}: NaN, or "
        "infinite. Steps that are too large end so.",
        f"Lower {guest.parameter}.learning_rate (to a tenth, say), and the same command again.",
    )


def _train(guest: Guest, folder: Path) -> None:
    command = [str(guest.environment.python), "-m", guest.module, str(folder)]
    done = subprocess.run(command, env=variables_in(guest.environment), cwd=ROOT, check=False)
    if done.returncode or not is_whole(folder / LEARNT):
        how = f"ended with {done.returncode}" if done.returncode >= 0 else f"was ended by signal {-done.returncode}"
        raise StepInterrupted(
            f"The training of {guest.parameter} {how}; what it said stands before this.",
            "The same command again goes on from the last epoch that it finished. Where it was ended for memory (by "
            f"signal 9), lower {guest.parameter}.batch_size first.",
        )


def _key(guest: Guest, arrays: Arrays, settings: Mapping[str, Any]) -> str:
    program = [*sorted(TRAINING.glob("*.py")), guest.environment.requirements]
    return fingerprint_json(
        {
            "module": guest.module,
            "code": {path.name: fingerprint_file(path) for path in program},
            "settings": dict(settings),
            "arrays": {name: fingerprint_array(array) for name, array in arrays.items()},
            "processor": {**SETTLED, **guest.environment.variables},
        }
    )


def _remove_oldest(folder: Path) -> None:
    """Those used longest ago, until the rest is within the bound; the one used last always stays."""
    latest_first = sorted(folder.iterdir(), key=lambda training: training.stat().st_mtime, reverse=True)
    n_bytes = 0
    for number, training in enumerate(latest_first):
        n_bytes += sum(path.stat().st_size for path in training.rglob("*") if path.is_file())
        if number and n_bytes > MOST_BYTES:
            shutil.rmtree(training, ignore_errors=True)
