"""The request log: the latest questions asked, to be asked again of another release (`slate shadow`).

    slate:{<app>}:requests    one entry a question, field `record`: JSON {"ts", "arm", "request"}: when it was answered
                              by the release's clock, by which arm, and the fields of `RecommendRequest`.

It holds the ids of people. A sample for comparisons, no record: capped in Redis, and what cannot be written at once is
dropped and counted.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from datetime import datetime

import orjson
import redis

from contracts.errors import StoreUnavailable
from contracts.slates import RecommendRequest
from feature_store.keys import requests_key
from serving.metrics import Metrics
from serving.served import Arm

QUEUE_LENGTH = 2000  # questions: 20 s of 100 a second


class RequestLog:
    """Takes questions at once; `write_waiting` puts them into Redis. length: about how many it keeps; 0 keeps none."""

    def __init__(self, connect: Callable[[], redis.Redis], app: str, length: int, metrics: Metrics) -> None:
        self._connect = connect
        self._key = requests_key(app)
        self._length = length
        self._outcomes = metrics.request_records
        self._queue: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def append(self, request: RecommendRequest, arm: Arm, answered_at: datetime) -> None:
        """Take a question to be written soon; one too many is dropped and counted."""
        if not self._length:
            return
        if self._queue.qsize() >= QUEUE_LENGTH:
            self._outcomes.labels("dropped").inc()
            return
        self._queue.put(orjson.dumps({"ts": answered_at, "arm": arm, "request": request}))

    def write_waiting(self) -> None:
        """Write what waits, or drop it where Redis does not take it."""
        records = [self._queue.get_nowait() for _ in range(self._queue.qsize())]
        if not records:
            return
        try:
            with self._connect().pipeline(transaction=False) as pipeline:
                for record in records:
                    pipeline.xadd(self._key, {"record": record}, maxlen=self._length, approximate=True)
                pipeline.execute()
            self._outcomes.labels("written").inc(len(records))
        except (redis.RedisError, StoreUnavailable):
            self._outcomes.labels("dropped").inc(len(records))
