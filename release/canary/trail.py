"""A canary's whole log read at once, for people: the report, and how the guard's interval closed on the way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from contracts.clock import epoch_ms
from contracts.progress import Progress
from contracts.settings.canary import CanarySettings
from feature_store.online.connection import Client
from feature_store.online.event_stream import EntryBatch
from release.canary.canary_run import CanaryRun
from release.canary.guard import LogReading
from release.canary.guardrails import always_valid, kept_clicks
from release.canary.report import CanaryReport, build_report
from release.canary.statistics import n_people
from release.canary.sums import CANARY, CanarySums

STEP = 1.1  # a point each time the canary's people have become a tenth more: some dozens however long the log is


@dataclass(frozen=True)
class TrailPoint:
    """Where the guard's question stood at one moment: click-through above what must be kept of production's."""

    n_people: int
    value: float
    low: float
    high: float


@dataclass
class IntervalTrail:
    """The points noted while a log is read."""

    limits: CanarySettings
    points: list[TrailPoint] = field(default_factory=list)

    def note(self, sums: CanarySums, *, last: bool = False) -> None:
        """Add a point when enough people came since the one before, or at the last."""
        cells = sums.cells()
        n_now, n_before = n_people(cells, CANARY), self.points[-1].n_people if self.points else 0
        if n_now <= n_before * (1 if last else STEP):
            return
        difference = kept_clicks(cells, self.limits)
        if difference is not None and difference.error:
            interval = always_valid(difference, self.limits)
            self.points.append(TrailPoint(n_now, interval.mean, interval.low, interval.high))


def read_report(
    client: Client, app: str, run: CanaryRun, limits: CanarySettings, until: datetime
) -> tuple[CanaryReport, list[TrailPoint]]:
    """The report as of `until`, with the points on the way to it; a bar shows how much of the time is read."""
    reading, trail = LogReading.of(run), IntervalTrail(limits)
    for _ in _with_bar(reading.read_until(client, app, run, until), run.periods[0].since, until):
        trail.note(reading.sums)
    trail.note(reading.sums, last=True)
    return build_report(reading.sums, run, limits, until), trail.points


def _with_bar(batches: Iterable[EntryBatch], since: datetime, until: datetime) -> Iterable[EntryBatch]:
    start_ms = epoch_ms(since)
    total_s = max(0, int((until - since).total_seconds()))
    with Progress(total=total_s, desc="canary: log read", unit="s") as bar:
        for batch in batches:
            yield batch
            bar.update(max(0, (batch.ms[-1] - start_ms) // 1000 - bar.n))
