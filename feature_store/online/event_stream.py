"""Reading what servers write into an application's capped streams: the event log, and the latest questions asked.

An entry's field `record` is JSON (see `serving.logs.event_log` and `serving.logs.request_log`).
An entry's id begins with the millisecond at which Redis took it, on the wall's clock, whatever clock a release answers
by. Oldest entries are cut off by whoever writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import redis

from feature_store.online.connection import mapped_errors

RECORD = b"record"
BATCH_LENGTH = 5000  # entries of one XRANGE: some 3 MB in memory, about 20 ms of Redis


@dataclass(frozen=True)
class EntryBatch:
    """Some entries in the order of the stream. ms: when Redis took each; last_id: to go on behind."""

    ms: tuple[int, ...]
    records: tuple[bytes, ...]
    last_id: str


def id_from(ms: int) -> str:
    """Where a reading begins that wants every entry from this millisecond on: the id just before it."""
    return f"{ms - 1}-{2**64 - 1}"


def read_stream(
    client: redis.Redis, key: str, after: str, until_ms: int, batch_length: int = BATCH_LENGTH
) -> Iterator[EntryBatch]:
    """The entries behind the id `after`, up to and with the millisecond `until_ms`, oldest first.

    Holds one batch at a time. An entry without a record is one of no bytes. Raises StoreError.
    """
    while True:
        with mapped_errors():
            entries = cast("Sequence[Any]", client.xrange(key, f"({after}", str(until_ms), count=batch_length))
        if not entries:
            return
        after = entries[-1][0].decode()
        yield EntryBatch(
            tuple(int(entry_id.partition(b"-")[0]) for entry_id, _ in entries),
            tuple((fields or {}).get(RECORD, b"") for _, fields in entries),
            after,
        )


@dataclass(frozen=True)
class StreamCursor:
    """How far a reader of a stream has come. last_id: the entry read last; number: which one it was of all that were
    ever written, from 1."""

    last_id: str = "0-0"
    number: int = 0


@dataclass(frozen=True)
class NextEntries:
    """The entries that follow a cursor. cursor: behind the last of them.

    n_lost: entries that were cut off before they were read; is_other: the stream is not the one of the cursor (Redis
    was emptied, or restored from before it), so that what was lost cannot be counted.
    """

    ids: tuple[str, ...]
    records: tuple[bytes, ...]
    cursor: StreamCursor
    n_lost: int = 0
    is_other: bool = False


def read_next(
    client: redis.Redis, key: str, counter: str, cursor: StreamCursor, batch_length: int = BATCH_LENGTH
) -> NextEntries:
    """The entries behind a cursor, at most so many, oldest first. counter: the key that counts what was written.

    Everything is looked at in one transaction, so that what is cut off meanwhile is neither missed nor counted twice.
    Raises StoreError.
    """
    with mapped_errors(), client.pipeline(transaction=True) as pipeline:
        pipeline.get(counter)
        pipeline.xlen(key)
        pipeline.xrange(key, cursor.last_id, cursor.last_id)
        pipeline.xrange(key, f"({cursor.last_id}", count=batch_length)
        written, length, last_read, entries = pipeline.execute()
    n_cut_off = int(written or 0) - length  # below 0 where entries are older than the counter
    is_gone = cursor != StreamCursor() and not last_read
    if is_gone and cursor.number > n_cut_off:  # by the counts it should be there
        return replace(read_next(client, key, counter, StreamCursor(), batch_length), is_other=True)
    number = cursor.number if last_read else n_cut_off
    ids = tuple(entry_id.decode() for entry_id, _ in entries)
    return NextEntries(
        ids,
        tuple((fields or {}).get(RECORD, b"") for _, fields in entries),
        StreamCursor(ids[-1] if ids else cursor.last_id, number + len(ids)),
        n_lost=n_cut_off - cursor.number if is_gone else 0,
    )


def latest_records(client: redis.Redis, key: str, n_records: int) -> list[bytes]:
    """The records written last, at most so many, oldest first. Raises StoreError."""
    with mapped_errors():
        entries = cast("Sequence[Any]", client.xrevrange(key, count=n_records))
    return [fields[RECORD] for _, fields in reversed(entries) if RECORD in fields]
