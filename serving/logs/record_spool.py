"""Where log records wait while Redis is away: one bounded file of JSON lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

LINES_AT_ONCE = 1000


class RecordSpool:
    """A file of lines, oldest first, that never grows past `max_bytes`; one writer uses it.

    What an earlier process left is kept, apart from a last line that it did not finish.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._n_bytes = _without_torn_line(path)
        self._shipped = 0

    def __len__(self) -> int:
        """Bytes that still wait."""
        return self._n_bytes - self._shipped

    def append(self, lines: Sequence[bytes]) -> int:
        """Keep as many of the lines as there is room for, in order; returns how many. Raises OSError."""
        kept: list[bytes] = []
        n_bytes = self._n_bytes
        for line in lines:
            n_bytes += len(line) + 1
            if n_bytes > self._max_bytes:
                break
            kept.append(line + b"\n")
        if kept:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                file.writelines(kept)
            self._n_bytes += sum(map(len, kept))
        return len(kept)

    def ship(self, write: Callable[[Sequence[bytes]], None]) -> int:
        """Hand every waiting line to `write`, oldest first, and empty the file; returns how many.

        When `write` raises, what it took before is not handed over again by this process; by the next one it is.
        """
        n_lines = 0
        if self:
            with self._path.open("rb") as file:
                file.seek(self._shipped)
                while lines := list(islice(file, LINES_AT_ONCE)):
                    write([line.rstrip(b"\n") for line in lines])
                    self._shipped += sum(map(len, lines))
                    n_lines += len(lines)
            self._path.unlink()
            self._n_bytes = self._shipped = 0
        return n_lines


def _without_torn_line(path: Path) -> int:
    """Cut off what follows the last line end; returns the bytes left."""
    if not path.exists():
        return 0
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole != len(content):
        with path.open("r+b") as file:
            file.truncate(whole)
    return whole
