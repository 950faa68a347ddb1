"""Names from outside (of files, columns, items) in what is printed: they may hold what steers a terminal."""

from __future__ import annotations

import re

# Control characters but for tab and line end, other line ends, what turns the direction of writing, half characters.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_HALVES = re.compile("[\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with each character that steers a terminal written as Python does (`\\x1b`); lines stay lines."""
    return _STEERING.sub(lambda found: ascii(found[0])[1:-1], text)


def printable_json(json: str) -> str:
    """JSON of the same value, in which such characters, which stand in texts alone, are written as JSON does."""
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", json)


def printable_line(text: str) -> str:
    """As `printable`, in one line: a line end is written out, too."""
    return printable(text).replace("\n", "\\n")


def is_whole_text(text: str) -> bool:
    """Whether UTF-8 can write it: not where it holds half a character, as JSON (`\\ud800`) and command lines can.

    >>> is_whole_text("élan"), is_whole_text("\\ud800")
    (True, False)
    """
    return text.isascii() or not _HALVES.search(text)
