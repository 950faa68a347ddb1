"""The seals of packed values as docs/formats/redis.md says them, slowly: an oracle, and for tests that forge values."""

from __future__ import annotations

import struct
import zlib


def row_checksum(row: bytes) -> int:
    """Word by word, with Python's integers."""
    total, state = 0, 0
    for number, (word,) in enumerate(struct.iter_unpack("<I", row)):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        if number != 5:  # the checksum itself
            total += word * ((z ^ z >> 31) | 1)
    return total % 2**64 >> 32


def sealed(packed: bytes, entity_id: str | None = None) -> bytes:
    """A row or history with the seal that fits it: of this id, or of the one it has."""
    key = packed[16:20] if entity_id is None else struct.pack("<I", zlib.crc32(entity_id.encode()))
    if packed.startswith(b"SH"):
        return packed[:16] + key + struct.pack("<I", zlib.crc32(packed[:16] + key + packed[24:])) + packed[24:]
    row = packed[:16] + key + packed[20:]
    return row[:20] + struct.pack("<I", row_checksum(row)) + row[24:]
