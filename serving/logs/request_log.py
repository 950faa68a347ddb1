"""The request log: the latest questions asked, to be asked again: of another release (`slate shadow`), or of the same
(`slate replay`, `slate why`).

    slate:{<app>}:requests    one entry a question, field `record`: JSON {"ts", "arm", "request", "answered"}: when it
                              was answered by the release's clock, by which arm, the fields of `RecommendRequest`, and
                              what `release.replay.logged_answer` says, where the store could be read.

It holds the ids of people. A sample for comparisons, no record (see `serving.logs.capped_stream`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson
import redis

from contracts.slates import RecommendRequest
from feature_store.online.keys import requests_key
from serving.logs.capped_stream import CappedStream
from serving.metrics import Metrics
from serving.served import Arm

Answered = Callable[[], dict[str, Any]]


class RequestLog:
    """Takes questions at once; `write_waiting` puts them into Redis. length: about how many it keeps; 0 keeps none."""

    def __init__(self, connect: Callable[[], redis.Redis], app: str, length: int, metrics: Metrics) -> None:
        self._stream = CappedStream(connect, requests_key(app), length, _encoded, metrics.request_records)

    def append(
        self, request: RecommendRequest, arm: Arm, answered_at: datetime, answered: Answered | None = None
    ) -> None:
        """Take a question to be written soon; one too many is dropped and counted.

        answered: gives what is told of the answer; called when it is written.
        """
        self._stream.append((request, arm, answered_at, answered))

    def leave_out(self) -> None:
        """Count a question that is not kept as dropped."""
        self._stream.leave_out()

    def write_waiting(self) -> None:
        """Write what waits, or drop it where Redis does not take it."""
        self._stream.write_waiting()


def _encoded(entry: tuple[RecommendRequest, Arm, datetime, Answered | None]) -> bytes:
    request, arm, answered_at, answered = entry
    told = {} if answered is None else {"answered": answered()}
    return orjson.dumps({"ts": answered_at, "arm": arm, "request": request.to_json(), **told})
