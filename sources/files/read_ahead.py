"""A stream for a parser that reads ahead in a thread of its own.

That thread aborts the process (exit code 134) if it needs Python when the interpreter ends: to read, or to release the
stream. So a stream is ended when its reader is done, or at the end of the process, which waits until all are released.
"""

from __future__ import annotations

import atexit
import io
import threading
import time
from typing import Any
from weakref import WeakSet

LONGEST_WAIT_S = (
    0.2  # for a parser that is still referenced, such as by the traceback of an error that ends the process
)


class ReadAhead:
    """Passes a stream on to the parser's thread. An error of the stream looks like its end there; `check` raises it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._turn = threading.Lock()
        self._is_ended = False
        self._error: Exception | None = None

    def parser_stream(self) -> io.RawIOBase:
        """The stream for the parser; nobody else may keep a reference to it."""
        stream = _ParserStream(self)
        _parser_streams.add(stream)
        return stream

    def read(self, size: int) -> bytes:
        """At most `size` bytes, all that are left where it is negative; none at the end."""
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
        """Raise the error of the stream, if it had one."""
        if self._error is not None:
            raise self._error

    def end(self) -> None:
        """End the stream; waits for a read that is under way."""
        with self._turn:
            self._is_ended = True


class _ParserStream(io.RawIOBase):
    def __init__(self, ahead: ReadAhead) -> None:
        self.ahead = ahead

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        return self.ahead.read(-1 if size is None else size)


_parser_streams: WeakSet[_ParserStream] = WeakSet()


@atexit.register
def _end_all() -> None:
    for ahead in [stream.ahead for stream in _parser_streams]:
        ahead.end()
    until = time.monotonic() + LONGEST_WAIT_S
    while len(_parser_streams) and time.monotonic() < until:
        time.sleep(0.001)
