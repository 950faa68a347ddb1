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

QUEUE_LENGTH = 2000  # entries: 20 s of 100 a second

Entry = TypeVar("Entry")


class CappedStream(Generic[Entry]):
    """Takes entries at once; `write_waiting` encodes them and puts them into Redis, as the field `record`.

    length: about how many it keeps; 0 keeps none. outcomes: counts entries by `written` and `dropped`.
    """

    def __init__(
        self,
        connect: Callable[[], redis.Redis],
        key: str,
        length: int,
        encode: Callable[[Entry], bytes],
        outcomes: Counter,
    ) -> None:
        self._connect = connect
        self._key = key
        self._length = length
        self._encode = encode
        self._outcomes = outcomes
        self._queue: queue.SimpleQueue[Entry] = queue.SimpleQueue()

    def append(self, entry: Entry) -> None:
        """Take an entry to be written soon; one too many is dropped and counted."""
        if not self._length:
            return
        if self._queue.qsize() >= QUEUE_LENGTH:
            self._outcomes.labels("dropped").inc()
            return
        self._queue.put(entry)

    def write_waiting(self) -> None:
        """Write what waits, or drop it where Redis does not take it."""
        entries = [self._queue.get_nowait() for _ in range(self._queue.qsize())]
        if not entries:
            return
        try:
            with mapped_errors(), self._connect().pipeline(transaction=False) as pipeline:
                for entry in entries:
                    pipeline.xadd(self._key, {"record": self._encode(entry)}, maxlen=self._length, approximate=True)
                pipeline.execute()
            self._outcomes.labels("written").inc(len(entries))
        except StoreError:
            self._outcomes.labels("dropped").inc(len(entries))
