"""Quotation marks that nothing closes: a parser takes all that follows, rows included, for one cell, and says nothing.

What was read is held against what stands there: an odd number of marks, or fewer rows than lines, is looked into.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from contracts.errors import SourceError

FEWEST_HIDDEN = 3  # lines inside of one cell that have as many separators as rows have: no text looks so by chance


class CountedStream(io.RawIOBase):
    """A stream of bytes that counts the quotation marks and the line ends that were read from it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.n_marks = 0
        self.n_lines = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        chunk: bytes = self._stream.read(-1 if size is None else size)
        self.n_marks += chunk.count(b'"')
        self.n_lines += chunk.count(b"\n")
        return chunk

    def may_hide_rows(self, n_rows: int) -> bool:
        """Whether rows may have been taken for text. n_rows: that were found, the one of column names included."""
        return self.n_marks % 2 == 1 or (self.n_marks > 0 and self.n_lines > n_rows)


def check_quotation(stream: Any, name: str, encoding: str, separator: str) -> None:
    """Raise SourceError where a mark is left open to the end of the file, or hides lines that are rows by their look.

    stream: of the whole file, from its beginning.
    """
    with io.TextIOWrapper(stream, encoding=encoding, newline="") as text:
        lines = _Lines(text)
        # Strictly, for else the end of the file closes every mark.
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
                # Else a cell goes on behind its last mark, which the parser takes as it stands.
            else:
                n_columns = n_columns or len(fields)
            hidden = lines.held[1:-1]
            if len(hidden) >= FEWEST_HIDDEN and all(line.count(separator) == n_columns - 1 for line in hidden):
                told = f"{len(hidden):,} lines that look like rows stand before the next one"
                raise _open_mark(name, row, lines.held[0], told)


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


def _open_mark(name: str, row: int, line: str, told: str) -> SourceError:
    return SourceError(
        f"{name}, row {row}: a quotation mark is left open, and {told}: {line.strip()[:200]}",
        "Close it there, double it inside a text, or set `quoted: false` beside its path in params.yaml, if marks are "
        "ordinary text in this file.",
    )
