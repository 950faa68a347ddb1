"""Files and folders that are whole or not there: written beside their place, and moved into it when finished.

A writer that is killed leaves what was there before, and an unfinished `.part` that the next writer removes.
Against a power cut: a file that is not made again is `durable`. All others are not waited for: what is
loaded of them is checked first, and made again by the command that made it.
"""

from __future__ import annotations

import errno
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import get_native_id

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
PART = ".part"
BEFORE = ".before"


@contextmanager
def whole_file(path: Path, *, durable: bool = False, shared: bool = False) -> Iterator[Path]:
    """Yield the path to write to; at the end that file takes the place of `path`, in one step.

    Whatever goes wrong meanwhile (an error, Ctrl-C, a full disk), `path` stays as it was and the unfinished file is
    removed. Folders that are missing are made. The error of a full disk names the file.
    durable: the bytes are on the disk before the file takes its place; some milliseconds.
    shared: several processes and threads may write it at once, and the last one wins; else only one may at a time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}-{get_native_id()}{PART}" if shared else path.name + PART)
    unfinished.unlink(missing_ok=True)
    if shared:
        _remove_parts_of_the_dead(path)
    try:
        with _named_where_full(path):
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

    Whatever goes wrong meanwhile, `folder` stays as it was and the unfinished one is removed. A kill between the two
    renames at the end leaves no `folder`: the old one is `<name>.before` then, and the next writer removes it.
    """
    with (
        scratch_folder(folder.with_name(folder.name + PART)) as unfinished,
        scratch_folder(folder.with_name(folder.name + BEFORE)) as before,
    ):
        yield unfinished
        if folder.exists():
            folder.rename(before / folder.name)
        unfinished.rename(folder)


@contextmanager
def content_folder(folder: Path, last: str) -> Iterator[Path]:
    """Yield a path at which to make a folder; at the end it is `folder`, unless another process was quicker.

    For folders named by what they hold: whoever writes one writes the same. Where the disk is full, nothing of it is
    left, and the error names the folder where it names no file.
    last: the file written last; a `folder` without it is what a killed writer left, and makes way.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unfinished-", ignore_cleanup_errors=True) as scratch:
        unfinished = Path(scratch) / folder.name
        with _named_where_full(folder):
            yield unfinished
        try:
            unfinished.rename(folder)
        except OSError:
            if (folder / last).is_file():
                return
            # Aside by a rename: of two processes one gets the leftover, and neither can remove what the other finished.
            with suppress(FileNotFoundError):
                folder.rename(Path(scratch) / "leftover")
            unfinished.rename(folder)


@contextmanager
def _named_where_full(path: Path) -> Iterator[None]:
    """The error of a full disk names what was written: a write knows no name."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL and error.filename is None:
            error.filename = str(path)
        raise


def _remove_parts_of_the_dead(path: Path) -> None:
    """Remove what writers of a shared file left who were killed: no process has their number any more."""
    for part in path.parent.glob(f"{glob.escape(path.name)}.*{PART}"):
        number = part.name.removeprefix(f"{path.name}.").split("-")[0].removesuffix(PART)
        if number.isdigit() and not _is_alive(int(number)):
            part.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's, and alive
    return True


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
