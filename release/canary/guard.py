"""The guard: reads the event log on from where it stopped, and says when a canary has crossed a guardrail.

It lives as long as the process that watches; a new one reads the log from the canary's start.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from contracts.clock import epoch_ms
from contracts.settings.canary import CanarySettings
from feature_store.online.connection import Client
from feature_store.online.event_stream import EntryBatch, id_from, read_stream
from feature_store.online.keys import events_key
from release.canary.canary_run import CanaryRun
from release.canary.guardrails import check_guardrails
from release.canary.report import CanaryReport, build_report
from release.canary.sums import CanarySums


@dataclass
class LogReading:
    """How far one canary's log was read, and what it added up to."""

    sums: CanarySums
    last_id: str

    @classmethod
    def of(cls, run: CanaryRun) -> LogReading:
        """Nothing read yet."""
        return cls(CanarySums(run), id_from(epoch_ms(run.periods[0].since)))

    def read_until(self, client: Client, app: str, run: CanaryRun, until: datetime) -> Iterator[EntryBatch]:
        """Add up what was logged since, a batch at a time.

        until: a moment before the run was read from the journal, so that no later change of the share is missed.
        """
        self.sums.follow(run)
        for batch in read_stream(client, events_key(app), self.last_id, epoch_ms(until)):
            self.sums.add(batch.ms, batch.records)
            self.last_id = batch.last_id
            yield batch


class CanaryGuard:
    """Judges the canary that runs, again and again, reading only what is new."""

    def __init__(self, app: str, limits: CanarySettings) -> None:
        self._app = app
        self._limits = limits
        self._reading: LogReading | None = None
        self._of: tuple[str, datetime] | None = None

    def look(self, client: Client, run: CanaryRun, until: datetime) -> CanaryReport | None:
        """The report as of `until`, if it crosses a guardrail. until: as in `LogReading.read_until`.

        Raises StoreError.
        """
        sums = self.read(client, run, until)
        shares = [period.share for period in run.periods]
        if not any(check.crossed for check in check_guardrails(sums.cells(), shares, self._limits)):
            return None
        return build_report(sums, run, self._limits, until)

    def read(self, client: Client, run: CanaryRun, until: datetime) -> CanarySums:
        """What the log adds up to by now."""
        # A canary that the store had lost begins anew: its salt is the same, its first period is not.
        identity = (run.canary.salt, run.periods[0].since)
        if self._reading is None or self._of != identity:
            self._reading, self._of = LogReading.of(run), identity
        for _ in self._reading.read_until(client, self._app, run, until):
            pass
        return self._reading.sums
