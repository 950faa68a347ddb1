"""Locks on files: one process at a time, and a process that ends, however it ends, ends its hold."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from contracts.errors import Busy, WorkspaceError


@contextmanager
def locked(path: Path, patience_s: float | None = None, next_step: str = "") -> Iterator[None]:
    """Hold the lock that this file is, waiting for whoever holds it; its folder is made where it is missing.

    patience_s: how long to wait; without it, until the lock is free. next_step: what to do where that takes too long.
    Raises Busy when somebody else keeps it longer; WorkspaceError where the file system has no locks. A file that is
    merely there (what filelock would make of it then) would outlive a kill, and everybody would wait for ever.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=-1 if patience_s is None else patience_s, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise Busy(
            f"Another process holds {path} for more than {patience_s:.0f} s.",
            next_step or f"`fuser {path}` names it: wait for it, or end it if it hangs.",
        ) from error
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        raise WorkspaceError(
            f"The file system of {path} has no locks (flock), so that two processes could write there at once.",
            "Use a folder on another disk: for SLATE_HOME, set that variable.",
        ) from error
    try:
        yield
    finally:
        lock.release()
