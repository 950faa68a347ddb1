"""A stream that a parser's own thread reads from, ahead of what is asked of the parser.

That thread aborts the process (exit code 134), whatever was said before, if it needs Python when the interpreter ends:
to read, or to let go of the stream. So streams are ended with what they are read for, or else with the process, which
waits until they were let go of.
"""

from __future__ import annotations

import atexit
import io
import threading
import time
from typing import Any
from weakref import WeakSet

LONGEST_WAIT_S = 0.2  # for a parser that somebody still holds: an error's traceback, which ends with the process


class ReadAhead:
    """Gives what a stream gives; what that raises is kept, and looks like its end to the other thread."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._turn = threading.Lock()
        self._is_ended = False
        self._error: Exception | None = None

    def given(self) -> io.RawIOBase:
        """The stream for the parser, which nobody else must hold."""
        stream = _Given(self)
        _given.add(stream)
        return stream

    def read(self, size: int) -> bytes:
        """At most so many bytes, all that are left where it is negative; none at the end."""
        with self._turn:
            if self._is_ended:
                return b""
            try:
                chunk: bytes = self._stream.read(size)
            except Exception as error:  # noqa: BLE001 - `check` raises it where somebody can answer for it
                self._is_ended, self._error = True, error
                return b""
            return chunk

    def check(self) -> None:
        """Raise what the stream raised, if it did."""
        if self._error is not None:
            raise self._error

    def end(self) -> None:
        """Give nothing any more; a read that is under way is waited for."""
        with self._turn:
            self._is_ended = True


class _Given(io.RawIOBase):
    def __init__(self, ahead: ReadAhead) -> None:
        self.ahead = ahead

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        return self.ahead.read(-1 if size is None else size)


_given: WeakSet[_Given] = WeakSet()


@atexit.register
def _end_all() -> None:
    for ahead in [stream.ahead for stream in _given]:
        ahead.end()
    until = time.monotonic() + LONGEST_WAIT_S
    while len(_given) and time.monotonic() < until:
        time.sleep(0.001)
