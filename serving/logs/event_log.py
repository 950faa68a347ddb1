"""The event log: what was shown and what people did, as records in one Redis stream per application.

    slate:{<app>}:events    one entry a record, field `record`, JSON: of what was done the columns of `interactions`,
                            of a slate what `contracts.logged_slates` says.
    slate:{<app>}:events:written   how many entries it ever took, for whoever collects them: were any cut off before?

`event_id` is unique to what was done, `request_id` to a slate: a record that was written twice (Redis went away after
taking it) shows by it. Where the sender named the event, its id is `sent:` and that name, and it is written once for as
long as it is remembered (`serving.event_id_hours`).

What people did is in Redis, or in a file, before it is acknowledged. What was shown is made into records and written by
a thread of its own, what comes within GATHERED_S in one step: an answer never waits for the log; records that find the
queue full are dropped and counted. While Redis is away both wait in one bounded file, in the order in which they came.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson
import redis

from contracts.errors import StoreError, StoreUnavailable
from feature_store.online.keys import events_key
from feature_store.online.stream_writes import StreamRecord, write_records
from serving.logs.record_spool import RecordSpool
from serving.logs.request_log import RequestLog
from serving.logs.values_log import ValuesLog
from serving.metrics import Metrics

LOG = logging.getLogger(__name__)
QUEUE_LENGTH = 2000  # records: 20 s of slates at 100 a second
BATCH_LENGTH = 1000
# About 500 MB of slates of ten; whoever reads the stream into a source must come more often than it turns.
STREAM_LENGTH = 1_000_000
IDLE_S = 1.0  # how often a quiet log looks whether spooled records can be written
GATHERED_S = 0.1  # from the first record to the writing: a step for each slate costs more than what is written
SENT: Final = "sent:"  # how the id of a record begins whose event was named by its sender

Record = Mapping[str, Any]


class EventLog:
    """Keeps events at once and impressions soon; `close` writes or spools what is left.

    requests, values: written by the same thread. remembered_s: how long the id of an event is.
    """

    def __init__(
        self,
        connect: Callable[[], redis.Redis],
        app: str,
        spool: RecordSpool,
        metrics: Metrics,
        requests: RequestLog,
        values: ValuesLog,
        remembered_s: int,
    ) -> None:
        self.requests = requests
        self.values = values
        self._connect = connect
        self._app = app
        self.stream = events_key(app)
        self._remembered_s = remembered_s
        self._spool = spool
        self._outcomes = metrics.log_records
        self._queue: deque[tuple[int, Callable[[], Sequence[bytes]]]] = deque()
        self._n_queued = 0
        self._counting = threading.Lock()  # around both; never held while anything is made or written
        self._writing = threading.Lock()  # what is taken first is written first
        self._something_to_write = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._write_on, name="event-log", daemon=True)

    def keep(self, records: Sequence[Record]) -> list[bool]:
        """Put the records where they outlive this process, in Redis or in the file; which of them are new.

        What waits in the file is older, and goes first: until it went, these wait behind it. Whether an event was there
        before is seen when it is written, so that all that wait count as new.
        Raises StoreUnavailable, and keeps none, when neither takes them.
        """
        contents = self.encoded(records)
        with self._writing:
            shown = self._take()  # what was clicked was shown before
            try:
                new = self._write_behind_the_spool([*shown, *contents])[len(shown) :]
            except StoreError as error:
                self._spool_some(shown, error)
                self._spool_all(contents, error)
                new = [True] * len(contents)
        self._something_to_write.set()
        return new

    @staticmethod
    def encoded(records: Sequence[Record]) -> list[bytes]:
        """The records as they are written."""
        return [orjson.dumps(record, option=orjson.OPT_SERIALIZE_NUMPY) for record in records]

    def append(self, n_records: int, make: Callable[[], Sequence[bytes]]) -> None:
        """Take records to be written soon; those that find the queue full are dropped and counted.

        make: gives all n_records of them, encoded; called when they are written.
        The queue fills only when records come faster than Redis or the disk takes them, so that writing to the file
        from here would make answers wait for the very thing that is too slow.
        """
        with self._counting:
            n_taken = min(n_records, QUEUE_LENGTH - self._n_queued)
            if n_taken:
                self._n_queued += n_taken
                self._queue.append((n_taken, make))
        if n_taken < n_records:
            self._outcomes.labels("dropped").inc(n_records - n_taken)
        if not self._something_to_write.is_set():
            self._something_to_write.set()

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self) -> None:
        """Write or spool everything taken so far, and stop."""
        self._stopping.set()
        self._something_to_write.set()
        self._thread.join()
        while self.write_waiting():
            pass
        self._spool.close()

    def write_waiting(self) -> int:
        """Write what waits, a batch of it, after what was spooled; returns how many records it took."""
        try:
            shipped = self._spool.ship(self._write)
            self._outcomes.labels("written").inc(shipped.n_records)
            self._outcomes.labels("damaged").inc(shipped.n_damaged)
        except StoreError:
            pass  # they go on waiting
        with self._writing:
            contents = self._take()
            try:
                self._write_behind_the_spool(contents)
            except StoreError as error:
                self._spool_some(contents, error)
        self.requests.write_waiting()
        self.values.write_waiting()
        return len(contents)

    def _write_behind_the_spool(self, contents: Sequence[bytes]) -> list[bool]:
        """Write the records; raises StoreError also where older ones still wait in the file."""
        if self._spool and contents:
            raise StoreUnavailable("Older records still wait for Redis.", "They are written first.")
        new = self._write(contents)
        self._outcomes.labels("written").inc(sum(new))
        return new

    def _take(self) -> list[bytes]:
        """The records that have waited longest: BATCH_LENGTH or more, unless fewer wait."""
        contents: list[bytes] = []
        while len(contents) < BATCH_LENGTH and (waiting := self._longest_waiting()):
            n_taken, make = waiting
            contents += make()[:n_taken]
        return contents

    def _longest_waiting(self) -> tuple[int, Callable[[], Sequence[bytes]]] | None:
        with self._counting:
            if not self._queue:
                return None
            self._n_queued -= self._queue[0][0]
            return self._queue.popleft()

    def _write(self, contents: Sequence[bytes]) -> list[bool]:
        records = [StreamRecord(content, _sent_id(content)) for content in contents]
        return write_records(
            self._connect(), self._app, records, max_length=STREAM_LENGTH, remembered_s=self._remembered_s
        )

    def _spool_all(self, contents: Sequence[bytes], error: StoreError) -> None:
        """Into the file, or raise: all of them or none."""
        try:
            self._spool.append_all(contents)
        except OSError as disk_error:
            self._outcomes.labels("refused").inc(len(contents))
            raise StoreUnavailable(
                f"Events are taken neither by Redis ({error.problem.rstrip('.')}) nor by the disk ({disk_error}).",
                "Send them again in a moment. Whoever runs this: bring Redis back, or free disk space.",
            ) from error
        self._outcomes.labels("spooled").inc(len(contents))

    def _spool_some(self, contents: Sequence[bytes], error: StoreError) -> None:
        """As many as the file takes; the others are dropped and counted."""
        try:
            n_kept = self._spool.append(contents)
        except OSError as disk_error:
            LOG.warning("Neither Redis (%s) nor the disk (%s) takes the event log.", error, disk_error)
            n_kept = 0
        self._outcomes.labels("spooled").inc(n_kept)
        self._outcomes.labels("dropped").inc(len(contents) - n_kept)

    def _write_on(self) -> None:
        while not self._stopping.is_set():
            if self._something_to_write.wait(IDLE_S):
                self._stopping.wait(GATHERED_S)
            self._something_to_write.clear()
            try:
                while self.write_waiting() >= BATCH_LENGTH:
                    pass
            except Exception:
                LOG.exception("Writing the event log failed; it goes on with the next records.")


def _sent_id(content: bytes) -> str | None:
    """What the sender named the event of this record."""
    if SENT.encode() not in content:
        return None
    event_id = orjson.loads(content).get("event_id")
    return event_id.removeprefix(SENT) if isinstance(event_id, str) and event_id.startswith(SENT) else None
