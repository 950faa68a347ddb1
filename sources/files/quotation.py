"""Finds quotation marks that are never closed: a parser takes all rows that follow for one cell, and raises nothing.

A file with an odd number of marks, or with fewer rows than lines, is looked into.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from contracts.errors import SourceError

LONGEST_END = 4  # bytes of a line end
FEWEST_HIDDEN = 3  # lines inside one cell with as many separators as a row has: no text looks like this by chance


class CountedStream(io.RawIOBase):
    """A stream of bytes that counts the quotation marks and the line ends that were read from it, and knows its end."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.n_marks = 0
        self.n_lines = 0
        self._tail = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        chunk: bytes = self._stream.read(-1 if size is None else size)
        self.n_marks += chunk.count(b'"')
        self.n_lines += chunk.count(b"\n")
        self._tail = (self._tail + chunk[-LONGEST_END:])[-LONGEST_END:]
        return chunk

    @property
    def ends_a_line(self) -> bool:
        """Whether what was read ends with a line end, in any encoding of up to four bytes a letter."""
        # Of UTF-16 and UTF-32 the zeros of a line end may come after it.
        return self._tail.rstrip(b"\0").endswith((b"\n", b"\r"))

    def may_hide_rows(self, n_rows: int) -> bool:
        """Whether rows may have been taken for text. n_rows: rows read, the one of column names included."""
        return self.n_marks % 2 == 1 or (self.n_marks > 0 and self.n_lines > n_rows)


def check_quotation(stream: Any, name: str, encoding: str, separator: str) -> None:
    """Raise SourceError where a mark is open to the end of the file, or hides lines that look like rows.

    stream: the whole file, from its beginning.
    """
    with io.TextIOWrapper(stream, encoding=encoding, newline="") as text:
        lines = _Lines(text)
        # Strict, or the end of the file closes every mark.
        rows = csv.reader(lines, delimiter=separator, strict=True)
        n_columns, row = 0, 0
        while True:
            row, lines.held = row + 1, []
            try:
                fields = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                if "unexpected end of data" in str(error) or "field larger" in str(error):
                    raise _open_mark(name, row, lines.held[0], "nothing closes it") from error
                # Any other error is text behind a closing mark, which the parser accepts.
            else:
                n_columns = n_columns or len(fields)
            hidden = lines.held[1:-1]
            if len(hidden) >= FEWEST_HIDDEN and all(line.count(separator) == n_columns - 1 for line in hidden):
                consequence = f"{len(hidden):,} lines that look like rows stand before the next one"
                raise _open_mark(name, row, lines.held[0], consequence)


class _Lines:
    """The lines of a text. held: those of the row that is being read."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self.held: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._text)
        self.held.append(line)
        return line


def _open_mark(name: str, row: int, line: str, consequence: str) -> SourceError:
    return SourceError(
        f"{name}, row {row}: a quotation mark is left open, and {consequence}: {line.strip()[:200]}",
        "Close it there, double it inside a text, or set `quoted: false` beside its path in params.yaml, if marks are "
        "ordinary text in this file.",
    )
