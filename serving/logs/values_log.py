"""The values log: what the ranker saw of people and items, to be computed again offline (`slate parity`).

    slate:{<app>}:values    one entry an answer, field `record`: what `release.parity.used_values` says.

It holds the ids of people. A sample for comparisons, no record (see `serving.logs.capped_stream`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import redis

from contracts.settings.serving import ServingSettings
from feature_store.online.keys import values_key
from release.parity.used_values import UsedValues
from serving.logs.capped_stream import CappedStream
from serving.metrics import Metrics
from serving.served import Arm

QUEUE_LENGTH = 200  # answers that wait: each holds every row that was read for those it was made together with
_BUCKETS = 2**64

Values = Callable[[], UsedValues | None]


class ValuesLog:
    """Takes the values of a share of all answers, drawn by the request's id alone; `write_waiting` writes them."""

    def __init__(
        self, connect: Callable[[], redis.Redis], app: str, settings: ServingSettings, metrics: Metrics
    ) -> None:
        length = settings.values_log_length
        self._stream = CappedStream(connect, values_key(app), length, _encoded, metrics.value_records, QUEUE_LENGTH)
        self._share = settings.values_log_share if length else 0.0

    def wants(self, request_id: str) -> bool:
        """Whether the values of this request are to be logged: the same answer always."""
        digest = hashlib.sha256(request_id.encode()).digest()
        return int.from_bytes(digest[:8], "big") < self._share * _BUCKETS

    def append(self, values: Values, arm: Arm) -> None:
        """Take the values of one answer to be written soon; one too many is dropped and counted.

        values: gives them; called when they are written.
        """
        self._stream.append((values, arm))

    def leave_out(self) -> None:
        """Count an answer whose values are not logged as dropped."""
        self._stream.leave_out()

    def write_waiting(self) -> None:
        """Write what waits, or drop it where Redis does not take it."""
        self._stream.write_waiting()


def _encoded(entry: tuple[Values, Arm]) -> bytes | None:
    values, arm = entry
    used = values()
    return None if used is None else used.to_bytes(arm)
