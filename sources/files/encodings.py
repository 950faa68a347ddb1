"""The encoding of a text by its first bytes: the mark that names one, or the zeros between the letters of UTF-16."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

SNIFFED_BYTES = 1_000
MOST = 0.8  # of every other byte of UTF-16 are zeros where the text is in Latin letters
FEW = 0.1


@dataclass(frozen=True)
class FirstBytes:
    """What the first bytes of a text say. encoding: as params.yaml has it; words: the same for people."""

    encoding: str
    words: str


# The mark of UTF-32 begins with that of UTF-16, so it is looked for first.
MARKS = (
    (codecs.BOM_UTF32_LE, FirstBytes("utf-32", "the mark of UTF-32, little-endian")),
    (codecs.BOM_UTF32_BE, FirstBytes("utf-32", "the mark of UTF-32, big-endian")),
    (codecs.BOM_UTF16_LE, FirstBytes("utf-16", "FF FE, the mark of UTF-16, little-endian")),
    (codecs.BOM_UTF16_BE, FirstBytes("utf-16", "FE FF, the mark of UTF-16, big-endian")),
    (codecs.BOM_UTF8, FirstBytes("utf-8", "EF BB BF, the mark of UTF-8")),
)


def first_bytes(head: bytes) -> FirstBytes | None:
    """What the first bytes of a text say of its encoding; None where they say nothing.

    UTF-16 without a mark is known by its zeros, and named with the order of its bytes.
    """
    for mark, said in MARKS:
        if head.startswith(mark):
            return said
    even, odd = head[:SNIFFED_BYTES:2], head[1:SNIFFED_BYTES:2]
    if _share_of_zeros(odd) > MOST and _share_of_zeros(even) < FEW:
        return FirstBytes("utf-16-le", "every other byte is zero, as in UTF-16, little-endian, without a mark")
    if _share_of_zeros(even) > MOST and _share_of_zeros(odd) < FEW:
        return FirstBytes("utf-16-be", "every other byte is zero, as in UTF-16, big-endian, without a mark")
    return None


def _share_of_zeros(content: bytes) -> float:
    return content.count(0) / len(content) if content else 0.0
