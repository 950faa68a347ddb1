"""Keeps a log readable while something is away: the same warning for every request says nothing new."""

from __future__ import annotations

import logging

SILENT_S = 60.0


class OncePerMinute(logging.Filter):
    """Lets a message through when the same template of the same logger did not come in the last minute.

    The metrics count every occurrence; the log says that it happens, and why at the time.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        key = (record.name, str(record.msg))
        last = self._last.get(key)
        if last is not None and record.created - last < SILENT_S:
            return False
        self._last[key] = record.created
        return True
