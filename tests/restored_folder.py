"""A folder that is put back to what it was for each test, where a new copy for each would be dear."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path


def restore(template: Path, folder: Path, leave_out: Collection[str] = ()) -> None:
    """Make a folder the same as its template; a file of the same size and time of change is the same.

    leave_out: names of files and folders that the folder does not get. An SQLite database stays the same file, for
    others keep it open: MLflow reads the tables of each address once per process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {entry.name: entry for entry in os.scandir(template) if entry.name not in leave_out}
    found = {entry.name: entry for entry in os.scandir(folder)}
    for name, entry in found.items():
        if name not in wanted or _kind(entry) != _kind(wanted[name]):
            _remove(entry)
    for name, entry in wanted.items():
        if entry.is_dir():
            restore(Path(entry.path), folder / name, leave_out)
        elif name.endswith(".db"):
            _restore_database(Path(entry.path), folder / name)
        elif name not in found or _stamp(entry) != _stamp(found[name]):
            shutil.copy2(entry.path, folder / name)


def _restore_database(template: Path, database: Path) -> None:
    with closing(sqlite3.connect(template)) as source, closing(sqlite3.connect(database)) as target:
        source.backup(target)


def _kind(entry: os.DirEntry[str]) -> tuple[bool, bool]:
    return entry.is_symlink(), entry.is_dir()


def _stamp(entry: os.DirEntry[str]) -> tuple[int, int]:
    about = entry.stat(follow_symlinks=False)
    return about.st_size, about.st_mtime_ns


def _remove(entry: os.DirEntry[str]) -> None:
    if entry.is_dir(follow_symlinks=False):
        shutil.rmtree(entry.path)
    else:
        Path(entry.path).unlink()
