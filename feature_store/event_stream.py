"""Reading what servers write into an application's capped streams: the event log, and the latest questions asked.

An entry's field `record` is JSON (see `serving.event_log` and `serving.request_log`).
An entry's id begins with the millisecond at which Redis took it, on the wall's clock, whatever clock a release answers
by. Oldest entries are cut off by whoever writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import redis

from feature_store.connection import mapped_errors

RECORD = b"record"
BATCH_LENGTH = 5000  # entries of one XRANGE: some 3 MB in memory, about 20 ms of Redis


@dataclass(frozen=True)
class Batch:
    """Some entries in the order of the stream. ms: when Redis took each; last_id: to go on behind."""

    ms: tuple[int, ...]
    records: tuple[bytes, ...]
    last_id: str


def id_from(ms: int) -> str:
    """Where a reading begins that wants every entry from this millisecond on: the id just before it."""
    return f"{ms - 1}-{2**64 - 1}"


def read_stream(
    client: redis.Redis, key: str, after: str, until_ms: int, batch_length: int = BATCH_LENGTH
) -> Iterator[Batch]:
    """The entries behind the id `after`, up to and with the millisecond `until_ms`, oldest first.

    Holds one batch at a time. An entry without a record is one of no bytes. Raises StoreError.
    """
    while True:
        with mapped_errors():
            entries = cast("Sequence[Any]", client.xrange(key, f"({after}", str(until_ms), count=batch_length))
        if not entries:
            return
        after = entries[-1][0].decode()
        yield Batch(
            tuple(int(entry_id.partition(b"-")[0]) for entry_id, _ in entries),
            tuple((fields or {}).get(RECORD, b"") for _, fields in entries),
            after,
        )


def latest_records(client: redis.Redis, key: str, n_records: int) -> list[bytes]:
    """The records written last, at most so many, oldest first. Raises StoreError."""
    with mapped_errors():
        entries = cast("Sequence[Any]", client.xrevrange(key, count=n_records))
    return [fields[RECORD] for _, fields in reversed(entries) if RECORD in fields]
