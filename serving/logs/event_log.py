"""The event log: what was shown and what people did, as records in one Redis stream per application.

    slate:{<app>}:events    one entry a record, field `record`: JSON, the columns of `interactions` and, for an
                            impression, position, propensity, policy_id, release_id, generation_id, arm and tier.
    slate:{<app>}:events:written   how many entries it ever took, for whoever collects them: were any cut off before?

`event_id` is unique to a record: one that was written twice (Redis went away after taking it) shows by it.
Records are written by a thread of their own: an answer never waits for the log. While Redis is away they wait in a
bounded file; when that is full, or the queue is, they are dropped and counted.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
import redis

from contracts.errors import StoreError
from feature_store.online.connection import mapped_errors
from feature_store.online.keys import events_key, events_written_key
from serving.logs.record_spool import RecordSpool
from serving.logs.request_log import RequestLog
from serving.logs.values_log import ValuesLog
from serving.metrics import Metrics

LOG = logging.getLogger(__name__)
QUEUE_LENGTH = 20_000  # records: 20 s of slates of ten at 100 a second
BATCH_LENGTH = 1000
STREAM_LENGTH = 1_000_000  # about 300 MB; whoever reads the stream into a source must come more often than it turns
IDLE_S = 1.0  # how often a quiet log looks whether spooled records can be written

Record = Mapping[str, Any]


class EventLog:
    """Takes records at once and writes them soon; `close` writes or spools what is left.

    requests, values: written by the same thread.
    """

    def __init__(
        self,
        connect: Callable[[], redis.Redis],
        app: str,
        spool: RecordSpool,
        metrics: Metrics,
        requests: RequestLog,
        values: ValuesLog,
    ) -> None:
        self.requests = requests
        self.values = values
        self._connect = connect
        self.stream = events_key(app)
        self._counter = events_written_key(app)
        self._spool = spool
        self._outcomes = metrics.log_records
        self._queue: queue.Queue[bytes] = queue.Queue(QUEUE_LENGTH)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._write_on, name="event-log", daemon=True)

    def append(self, records: Sequence[Record]) -> None:
        """Take the records to be written soon; those that find the queue full are dropped and counted.

        The queue fills only when records come faster than Redis or the disk takes them, so that writing to the file
        from here would make answers wait for the very thing that is too slow.
        """
        for record in records:
            try:
                self._queue.put_nowait(orjson.dumps(record, option=orjson.OPT_SERIALIZE_NUMPY))
            except queue.Full:
                self._outcomes.labels("dropped").inc()

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self) -> None:
        """Write or spool everything taken so far, and stop."""
        self._stopping.set()
        self._thread.join()
        while self.write_waiting():
            pass

    def write_waiting(self, patience_s: float = 0) -> int:
        """Write what waits, at most one batch of it, after what was spooled; returns how many records it took."""
        lines = self._take(patience_s)
        try:
            self._outcomes.labels("written").inc(self._spool.ship(self._write))
            self._write(lines)
            self._outcomes.labels("written").inc(len(lines))
        except StoreError as error:
            self._keep(lines, error)
        self.requests.write_waiting()
        self.values.write_waiting()
        return len(lines)

    def _take(self, patience_s: float) -> list[bytes]:
        lines: list[bytes] = []
        try:
            lines.append(self._queue.get(timeout=patience_s) if patience_s else self._queue.get_nowait())
            while len(lines) < BATCH_LENGTH:
                lines.append(self._queue.get_nowait())
        except queue.Empty:
            pass
        return lines

    def _write(self, lines: Sequence[bytes]) -> None:
        if not lines:
            return
        with mapped_errors(), self._connect().pipeline(transaction=True) as pipeline:
            for line in lines:
                pipeline.xadd(self.stream, {"record": line}, maxlen=STREAM_LENGTH, approximate=True)
            pipeline.incrby(self._counter, len(lines))
            pipeline.execute()

    def _keep(self, lines: Sequence[bytes], error: Exception) -> None:
        try:
            n_kept = self._spool.append(lines)
        except OSError as disk_error:
            LOG.warning("Neither Redis (%s) nor the disk (%s) takes the event log.", error, disk_error)
            n_kept = 0
        self._outcomes.labels("spooled").inc(n_kept)
        self._outcomes.labels("dropped").inc(len(lines) - n_kept)

    def _write_on(self) -> None:
        while not self._stopping.is_set():
            try:
                self.write_waiting(IDLE_S)
            except Exception:
                LOG.exception("Writing the event log failed; it goes on with the next records.")
