"""Fingerprints: short names for content. Equal content, equal fingerprint; clock, host and paths never enter."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

FINGERPRINT_LENGTH = 16  # hex digits: 64 bits, no chance collision among millions of artefacts


def fingerprint_bytes(content: bytes) -> str:
    """The fingerprint of some bytes: the first 16 hex digits of their SHA-256."""
    return fingerprint_chunks([content])


def fingerprint_chunks(chunks: Iterable[bytes | memoryview]) -> str:
    """The fingerprint of the bytes that these make one after the other; they are never held together."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()[:FINGERPRINT_LENGTH]


def canonical_json(value: object) -> bytes:
    """The one way to write a value as JSON before hashing: sorted keys, no spaces, UTF-8, NaN refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def fingerprint_json(value: object) -> str:
    """The fingerprint of a JSON-like value, whatever the order of its keys."""
    return fingerprint_bytes(canonical_json(value))


def fingerprint_file(path: Path) -> str:
    """The fingerprint of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()[:FINGERPRINT_LENGTH]
