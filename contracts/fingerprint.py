"""Fingerprints: short names for content. Equal content, equal fingerprint; clock, host and paths never enter."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple

FINGERPRINT_LENGTH = 16  # hex digits: 64 bits, no chance collision among millions of artefacts
SETTLED_NS = 100_000_000  # file systems date a change by ticks of some milliseconds: two within one look alike


class FileState(NamedTuple):
    """Which file it is, and when it was last changed: another state after any change of a byte."""

    device: int
    inode: int
    n_bytes: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, stat: os.stat_result) -> FileState:
        return cls(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


_hashed: ContextVar[dict[FileState, str] | None] = ContextVar("hashed", default=None)


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


@contextmanager
def hashed_once(known: Mapping[FileState, str] | None = None) -> Iterator[dict[FileState, str]]:
    """Within it, `fingerprint_file` reads a file once, and again where it was changed since, to whatever content.

    known: what was hashed already, by this process or by another of this machine. Yields what is known, which grows.
    One within another knows what the outer one does.
    """
    outer = _hashed.get()
    hashed = {} if outer is None else outer
    hashed.update(known or {})
    token = _hashed.set(hashed)
    try:
        yield hashed
    finally:
        _hashed.reset(token)


def fingerprint_file(path: Path) -> str:
    """The fingerprint of a file's bytes."""
    hashed = _hashed.get()
    with path.open("rb") as file:
        state = FileState.of(os.fstat(file.fileno()))
        if hashed is not None and state in hashed:
            return hashed[state]
        digest, began_ns = hashlib.sha256(), time.time_ns()  # the file system's clock, not that of the data
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    fingerprint = digest.hexdigest()[:FINGERPRINT_LENGTH]
    if hashed is not None and began_ns - max(state.modified_ns, state.changed_ns) > SETTLED_NS:
        hashed[state] = fingerprint
    return fingerprint
