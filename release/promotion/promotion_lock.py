"""The lock of promotions: of all the processes that could decide on requests, one does so at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from contracts.errors import Busy
from contracts.home import Home

PATIENCE_S = 300.0  # publishing a large generation takes minutes; longer means that somebody hangs


@contextmanager
def promotion_lock(home: Home, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Hold the lock; raises Busy when somebody else keeps it longer than we wait."""
    home.root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(home.root / "promotion.lock")
    try:
        with lock.acquire(timeout=patience_s):
            yield
    except Timeout as error:
        raise Busy(
            f"Another process holds {lock.lock_file} for more than {patience_s:.0f} s.",
            "See what `slate sync` or `slate promote` is doing, end it if it hangs, and try again.",
        ) from error
