"""Files and folders that are whole or not there: written beside their place, and moved into it when finished.

A writer that is killed leaves what was there before, and an unfinished `<name>.part` that the next writer replaces.
Against a power cut: a file that nothing builds again is `durable`. All others are not waited for; `dvc repro` builds
them again, and what is loaded is held against its fingerprint first.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PART = ".part"


@contextmanager
def whole_file(path: Path, *, durable: bool = False, shared: bool = False) -> Iterator[Path]:
    """Yield the path to write to; at the end that file takes the place of `path`, in one step.

    Whatever goes wrong meanwhile (an error, Ctrl-C, a full disk), `path` stays as it was and the unfinished file is
    removed. Folders that are missing are made.
    durable: the bytes are on the disk before the file takes its place; some milliseconds.
    shared: several processes may write it at once, and the last one wins; else only one may at a time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}{PART}" if shared else path.name + PART)
    unfinished.unlink(missing_ok=True)
    try:
        yield unfinished
        if durable:
            _flush(unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes, *, shared: bool = False) -> None:
    """Write these bytes as a whole file."""
    with whole_file(path, shared=shared) as unfinished:
        unfinished.write_bytes(content)


@contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """Make an empty folder for this block; it is removed at the end, whatever goes wrong."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; at the end it takes the place of `folder`.

    Whatever goes wrong meanwhile, `folder` stays as it was and the unfinished one is removed.
    """
    with scratch_folder(folder.with_name(folder.name + PART)) as unfinished:
        yield unfinished
        if folder.exists():
            shutil.rmtree(folder)
        unfinished.rename(folder)


@contextmanager
def content_folder(folder: Path, last: str) -> Iterator[Path]:
    """Yield a path at which to make a folder; at the end it is `folder`, unless another process was quicker.

    For folders named by what they hold: whoever writes one writes the same.
    last: the file written last; a `folder` without it is what a killed writer left, and makes way.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unfinished-", ignore_cleanup_errors=True) as scratch:
        unfinished = Path(scratch) / folder.name
        yield unfinished
        if not (folder / last).is_file():
            shutil.rmtree(folder, ignore_errors=True)
        try:
            unfinished.rename(folder)
        except OSError:
            if not (folder / last).is_file():
                raise


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
