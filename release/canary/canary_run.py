"""What the journal says of canaries.

Pure reading: the view of one application's journal in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from feature_store.online.serving_targets import Canary
from release.journal.entries import Action, CanaryStep, Entry
from release.journal.view import CHANGES, JournalView


@dataclass(frozen=True)
class SharePeriod:
    """A time in which the share stayed the same. until: None while it lasts."""

    share: float
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True)
class CanaryRun:
    """One canary from its start on.

    canary: as it was last; version: of the release candidate in the registry; beside: the release it is compared with.
    periods: oldest first; one that the store lost begins anew with its restoration, as its log was lost with it.
    ended: why; empty while it runs.
    """

    canary: Canary
    version: int | None
    beside: str
    periods: tuple[SharePeriod, ...]
    ended: str = ""

    @property
    def is_running(self) -> bool:
        return not self.ended


def last_run(view: JournalView) -> CanaryRun | None:
    """The canary that runs, else the one that ran last; None when there was none.

    One whose candidate or production was replaced has ended, also where nobody noted it yet.
    """
    run: CanaryRun | None = None
    for entry in view.canary_entries:
        if entry.action is Action.CANARY:
            run = _run_after(run, entry)
        elif run and run.is_running and entry.action in CHANGES and entry.release_id != run.beside:
            run = _ended_run(run, entry.ts, f"Release {entry.release_id} went into production.")
    return run


def noted_as_ended(view: JournalView) -> bool:
    """Whether the last entry about canaries says that one ended."""
    steps = [entry.figures["step"] for entry in view.canary_entries if entry.action is Action.CANARY]
    return not steps or steps[-1] == CanaryStep.END


def _run_after(run: CanaryRun | None, entry: Entry) -> CanaryRun | None:
    match CanaryStep(entry.figures["step"]):
        case CanaryStep.START:
            return _started_run(entry)
        case CanaryStep.SHARE if run:
            share = float(entry.figures["share"])
            closed = (*run.periods[:-1], replace(run.periods[-1], until=entry.ts))
            periods = (*closed, SharePeriod(share, entry.ts))
            return replace(run, canary=replace(run.canary, share=share), periods=periods)
        case CanaryStep.RESTORE if run:
            share = float(entry.figures["share"])
            return replace(run, canary=replace(run.canary, share=share), periods=(SharePeriod(share, entry.ts),))
        case CanaryStep.END if run and run.is_running:
            return _ended_run(run, entry.ts, entry.reason)
    return run


def _started_run(entry: Entry) -> CanaryRun:
    figures = entry.figures
    canary = Canary(
        str(entry.release_id), str(entry.generation_id), figures["share"], figures["salt"], figures["started_ts"]
    )
    return CanaryRun(canary, entry.version, figures["beside"], (SharePeriod(canary.share, entry.ts),))


def _ended_run(run: CanaryRun, moment: datetime, reason: str) -> CanaryRun:
    closed = replace(run.periods[-1], until=moment)
    return replace(run, periods=(*run.periods[:-1], closed), ended=reason or "Ended without a reason.")
