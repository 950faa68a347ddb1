"""The seals of packed values as docs/formats/redis.md says them, slowly: an oracle, and for tests that forge values."""

from __future__ import annotations

import struct
import zlib

SEAL_AT = 16


def row_checksum(row: bytes, entity_id: str) -> int:
    """Word by word, with Python's integers; the id's hash in the place of the checksum."""
    total, state = 0, 0
    for (word,) in struct.iter_unpack("<I", with_hash(row, entity_id)):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        total += word * ((z ^ z >> 31) | 1)
    return total % 2**64 >> 32


def sealed(packed: bytes, entity_id: str) -> bytes:
    """A row or history with the seal that fits it under this id."""
    of_history = packed.startswith(b"SH")
    checksum = zlib.crc32(with_hash(packed, entity_id)) if of_history else row_checksum(packed, entity_id)
    return packed[:SEAL_AT] + struct.pack("<I", checksum) + packed[SEAL_AT + 4 :]


def with_hash(packed: bytes, entity_id: str) -> bytes:
    return packed[:SEAL_AT] + struct.pack("<I", zlib.crc32(entity_id.encode())) + packed[SEAL_AT + 4 :]
