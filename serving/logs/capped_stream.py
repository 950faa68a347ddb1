"""A log of the latest, in a capped Redis stream: a sample, no record. It is taken at once and written soon; what cannot
be written at once is dropped and counted."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Generic, TypeVar

import redis
from prometheus_client import Counter

from contracts.errors import StoreError
from feature_store.online.connection import mapped_errors

QUEUE_LENGTH = 2000  # entries that wait: 20 s of 100 a second

Entry = TypeVar("Entry")


class CappedStream(Generic[Entry]):
    """Takes entries at once; `write_waiting` encodes them and puts them into Redis, as the field `record`.

    length: about how many it keeps; 0 keeps none. encode: gives None for an entry that is none. outcomes: counts
    entries by `written` and `dropped`. queue_length: how many may wait to be written.
    """

    def __init__(
        self,
        connect: Callable[[], redis.Redis],
        key: str,
        length: int,
        encode: Callable[[Entry], bytes | None],
        outcomes: Counter,
        queue_length: int = QUEUE_LENGTH,
    ) -> None:
        self._connect = connect
        self._key = key
        self._length = length
        self._encode = encode
        self._outcomes = outcomes
        self._queue_length = queue_length
        self._queue: queue.SimpleQueue[Entry] = queue.SimpleQueue()

    def append(self, entry: Entry) -> None:
        """Take an entry to be written soon; one too many is dropped and counted."""
        if not self._length:
            return
        if self._queue.qsize() < self._queue_length:
            self._queue.put(entry)
        else:
            self.leave_out()

    def leave_out(self) -> None:
        """Count an entry that is not written, where any are, as dropped."""
        if self._length:
            self._outcomes.labels("dropped").inc()

    def write_waiting(self) -> None:
        """Write what waits, or drop it where Redis does not take it."""
        encoded = (self._encode(self._queue.get_nowait()) for _ in range(self._queue.qsize()))
        records = [record for record in encoded if record is not None]
        if not records:
            return
        try:
            with mapped_errors(), self._connect().pipeline(transaction=False) as pipeline:
                for record in records:
                    pipeline.xadd(self._key, {"record": record}, maxlen=self._length, approximate=True)
                pipeline.execute()
            self._outcomes.labels("written").inc(len(records))
        except StoreError:
            self._outcomes.labels("dropped").inc(len(records))
