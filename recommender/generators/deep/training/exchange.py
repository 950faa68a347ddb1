"""What a training is handed and hands back: arrays and settings, in folders of one training.

    <folder>/given/              what is learnt from
    <folder>/checkpoint-<n>/     the state after n epochs; the last one alone is kept
    <folder>/learnt/             what was learnt

Each is an artefact, so that one that was not finished is none. Nothing is pickled.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from contracts.artefact import META, load_array, load_meta, reading, save_artefact
from contracts.file_lock import locked

Arrays = Mapping[str, npt.NDArray[Any]]

GIVEN: Final = "given"
LEARNT: Final = "learnt"
CHECKPOINT: Final = "checkpoint-"
KIND: Final = "deep-"
LOCK: Final = "training.lock"


def run_training(learn: Callable[[Arrays, Mapping[str, Any], Path], Arrays]) -> None:
    """The program of a training: `learn` from what lies in the folder that the command line names, and hand it back.

    learn: of arrays and settings, in a folder for its checkpoints. Of two at once, the second waits and finds it done:
    a training whose parent was killed goes on.
    """
    folder = Path(sys.argv[1])
    with locked(folder / LOCK):
        if not is_whole(folder / LEARNT):
            arrays, settings = load_arrays(folder / GIVEN, GIVEN)
            save_arrays(folder / LEARNT, LEARNT, learn(arrays, settings, folder), {})


def is_whole(folder: Path) -> bool:
    """Whether `save_arrays` has come to its end here."""
    return (folder / META).is_file()


def save_arrays(folder: Path, what: str, arrays: Arrays, values: Mapping[str, Any]) -> None:
    """Write one of the folders above; what: `given`, `learnt` or `checkpoint`."""
    shapes = {name: [array.dtype.str, list(array.shape)] for name, array in arrays.items()}
    save_artefact(
        folder, KIND + what, built_with={}, arrays=arrays, values={"arrays": shapes, "settings": dict(values)}
    )


def load_arrays(folder: Path, what: str) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """What `save_arrays` wrote; raises ArtefactError where it is damaged or not whole."""
    meta = load_meta(folder, KIND + what)
    with reading(folder):
        arrays = {
            name: load_array(folder, name, np.dtype(str(kind)), tuple(int(length) for length in shape))
            for name, (kind, shape) in meta.values["arrays"].items()
        }
        return arrays, dict(meta.values["settings"])


@dataclass(frozen=True)
class Checkpoints:
    """The state of a training after each epoch; a process that was killed leaves the last whole one."""

    folder: Path

    def load_last(self) -> tuple[int, dict[str, npt.NDArray[Any]]]:
        """How many epochs are done, and the state after them; 0 and nothing where none is."""
        if not (done := self._done()):
            return 0, {}
        arrays, _ = load_arrays(self._of(done[-1]), "checkpoint")
        return done[-1], {name: np.array(array) for name, array in arrays.items()}

    def save(self, n_epochs: int, state: Arrays) -> None:
        """Write the state after so many epochs, and then remove those before it."""
        save_arrays(self._of(n_epochs), "checkpoint", state, {})
        for number in self._done():
            if number != n_epochs:
                shutil.rmtree(self._of(number))

    def _done(self) -> list[int]:
        folders = [path for path in self.folder.glob(f"{CHECKPOINT}*") if is_whole(path)]
        return sorted(int(path.name.removeprefix(CHECKPOINT)) for path in folders)

    def _of(self, number: int) -> Path:
        return self.folder / f"{CHECKPOINT}{number}"
