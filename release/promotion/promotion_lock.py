"""The lock of promotions: of all the processes that could decide on requests, one does so at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from contracts.file_lock import locked
from contracts.home import Home

PATIENCE_S = 300.0  # publishing a large generation takes minutes; longer means that somebody hangs


@contextmanager
def promotion_lock(home: Home, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Hold the lock; raises Busy when somebody else keeps it longer than we wait."""
    next_step = "See what `slate sync` or `slate promote` is doing, end it if it hangs, and try again."
    with locked(home.root / "promotion.lock", patience_s, next_step):
        yield
