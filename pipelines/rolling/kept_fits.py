"""What was fitted on rolling windows, kept by the content of what it was made of, so that nothing is fitted twice.

    SLATE_HOME/fits/<step>/<key>/            the step's own files, as it saves them
    SLATE_HOME/fits/<step>/<key>/made_of.json   what the key is the fingerprint of, and of each file its own

A key names the code of the step and the versions of the libraries that compute, the data, and the parameters that the
step reads, and no others. A folder comes into being whole or not at all, and is read where every byte is as it was
written. Past a bound, those used longest ago go.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, TypeVar

from tqdm import tqdm

from contracts.errors import ArtefactError
from contracts.fingerprint import fingerprint_file, fingerprint_json
from contracts.home import Home
from contracts.json_file import load_json, write_json
from contracts.stage_code import own_code
from contracts.whole_files import FULL, content_folder
from pipelines.dependencies import import_closure
from pipelines.paths import VALID

MADE_OF: Final = "made_of.json"
FILES: Final = "files"
MAKE_AGAIN: Final = "Remove it: what is not there is made again."
WITHOUT_ROOM: Final = (
    "Free disk space there, or set SLATE_HOME to a folder on another disk; with `rolling.cache_gib: 0` nothing is kept."
)
FEATURES: Final = "features"
GENERATORS: Final = "generators"
ROWS: Final = "rows"
RANKER: Final = "ranker"
MEASURED: Final = "measured"
# The modules whose imports are the code of a step; its own functions call theirs.
STAGES_OF: Final[Mapping[str, tuple[str, ...]]] = {
    FEATURES: ("pipelines.features",),
    GENERATORS: ("pipelines.candidates",),
    ROWS: ("pipelines.ranking",),
    RANKER: ("pipelines.ranking",),
    MEASURED: ("pipelines.evaluate", "pipelines.features", "pipelines.index", "pipelines.ranking"),
}
STEPS: Final = frozenset(STAGES_OF)
COMPUTING: Final = (
    "duckdb", "faiss-cpu", "implicit", "lightgbm", "numba", "numpy", "polars", "pylignum", "pyspark",
    "scikit-learn", "scipy", "wordllama",
)  # fmt: skip
GIB: Final = 2**30

Made = TypeVar("Made")


@dataclass(frozen=True)
class KeptFits:
    """Gives back what was made before, and makes the rest. folder: None where nothing is kept.

    data: the fingerprint of the tables. most_bytes: of all that is kept. saved: the steps whose results are saved;
    what others left is used all the same.
    """

    folder: Path | None
    data: str = ""
    most_bytes: int = 0
    saved: frozenset[str] = field(default=STEPS)

    @classmethod
    def nothing(cls) -> KeptFits:
        """Makes everything, each time."""
        return cls(None)

    @classmethod
    def of(cls, home: Home, most_gib: float) -> KeptFits:
        """Those of the valid tables in the working directory; nothing is kept where the bound is 0."""
        data = {path.name: fingerprint_file(path) for path in sorted(VALID.glob("*.parquet"))}
        return cls(home.fits if most_gib else None, fingerprint_json(data), round(most_gib * GIB))

    def saving(self, steps: frozenset[str]) -> KeptFits:
        """The same, which saves the results of these steps alone."""
        return replace(self, saved=steps)

    def made(
        self,
        step: str,
        read: Mapping[str, Any],
        load: Callable[[Path], Made],
        make: Callable[[], Made],
        save: Callable[[Made, Path], object],
    ) -> Made:
        """What `load` reads of a folder, where the step was made of the same before; else what `make` returns, saved.

        read: what of the parameters, windows and seeds goes into it, as JSON. A folder that is damaged is made anew.
        What does not fit on the disk is not kept, and lines on stderr say so, and what helps.
        """
        if self.folder is None:
            return make()
        made_of, folder = self._made_of(step, read), self._folder_of(step, read)
        if (folder / MADE_OF).is_file():
            try:
                os.utime(folder)
                _check_files(folder)
                return load(folder)
            except (ArtefactError, OSError):
                shutil.rmtree(folder, ignore_errors=True)
        value = make()
        if step in self.saved:
            try:
                self._save(folder, made_of, value, save)
            except OSError as error:
                if error.errno not in FULL:
                    raise
                line = f"{error.strerror}: {error.filename}. What was made ({step}) is used, and made again next time."
                tqdm.write(f"{line}\n  {WITHOUT_ROOM}", file=sys.stderr)  # above a bar that is drawn at the moment
        return value

    def has(self, step: str, read: Mapping[str, Any]) -> bool:
        """Whether a step was made of this before."""
        return self.folder is not None and (self._folder_of(step, read) / MADE_OF).is_file()

    def _made_of(self, step: str, read: Mapping[str, Any]) -> dict[str, Any]:
        made_of = {"step": step, "data": self.data, "code": code_of_step(step), "read": dict(read)}
        if own := own_code(Path.cwd(), read.get("candidates", {}).get("own", ())):
            made_of["own_code"] = {name: fingerprint_file(Path(name)) for name in own}
        return made_of

    def _folder_of(self, step: str, read: Mapping[str, Any]) -> Path:
        assert self.folder is not None  # noqa: S101 - asked for where something is kept
        return self.folder / step / fingerprint_json(self._made_of(step, read))

    def _save(
        self, folder: Path, made_of: Mapping[str, Any], value: Made, save: Callable[[Made, Path], object]
    ) -> None:
        with content_folder(folder, last=MADE_OF) as unfinished:
            unfinished.mkdir()
            save(value, unfinished)
            write_json({**made_of, FILES: _fingerprints(unfinished)}, unfinished / MADE_OF)
        self._remove_oldest()

    def _remove_oldest(self) -> None:
        """Those used longest ago, until the rest is within the bound."""
        assert self.folder is not None  # noqa: S101 - it has just been written
        there = sorted((*found, folder) for folder in self.folder.glob("*/*") if (found := _used_and_size(folder)))
        excess = sum(size for _, size, _ in there) - self.most_bytes
        for _, size, folder in there:
            if excess <= 0:
                return
            shutil.rmtree(folder, ignore_errors=True)
            excess -= size


def _used_and_size(folder: Path) -> tuple[float, int] | None:
    """When it was used last, and its bytes; None where another process has removed it, or finished it, meanwhile."""
    try:
        return folder.stat().st_mtime, sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    except FileNotFoundError:
        return None


def _fingerprints(folder: Path) -> dict[str, str]:
    """By its path in the folder, the fingerprint of each file but MADE_OF."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: fingerprint_file(path) for name, path in sorted(files.items()) if name != MADE_OF}


def _check_files(folder: Path) -> None:
    """Raise ArtefactError unless each file is as it was written: of Parquet, most changed bits read as other values."""
    written = load_json(folder / MADE_OF, MAKE_AGAIN).get(FILES)
    if written != _fingerprints(folder):
        raise ArtefactError(f"{folder} is damaged: its files are not those that {MADE_OF} names.", MAKE_AGAIN)


@cache
def code_of_step(step: str) -> str:
    """The fingerprint of the files that a step imports, of how they are called here, and of the libraries' versions."""
    root = Path(__file__).resolve().parents[2]
    files = {name for module in STAGES_OF[step] for name in _closure(root, module)}
    files.add(Path(__file__).with_name("window_fit.py").relative_to(root).as_posix())
    code = {name: fingerprint_file(root / name) for name in sorted(files)}
    return fingerprint_json([code, {name: _version_of(name) for name in COMPUTING}])


@cache
def _closure(root: Path, module: str) -> frozenset[str]:
    return frozenset(import_closure(root, module))


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None  # not on every platform
