"""What the journal's entries say of canaries, and of Staging.

Pure reading: entries of one application in, oldest first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from feature_store.online.serving_targets import Canary
from release.journal.history import CHANGES
from release.journal.journal import Action, Entry, Phase


class Step(StrEnum):
    """What an entry about a canary did; it stands in the entry's figures."""

    START = "start"
    SHARE = "share"
    END = "end"
    RESTORE = "restore"  # the store had lost it


@dataclass(frozen=True)
class Segment:
    """A time in which the share stayed the same. until: None while it lasts."""

    share: float
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True)
class Run:
    """One canary from its start on.

    canary: as it was last; version: of the candidate in the registry; beside: the release it is compared with.
    segments: oldest first; one that the store lost begins anew with its restoration, as its log was lost with it.
    ended: why; empty while it runs.
    """

    canary: Canary
    version: int | None
    beside: str
    segments: tuple[Segment, ...]
    ended: str = ""

    @property
    def is_running(self) -> bool:
        return not self.ended


def last_run(entries: Sequence[Entry]) -> Run | None:
    """The canary that runs, else the one that ran last; None when there was none.

    One whose candidate or production was replaced has ended, also where nobody noted it yet.
    """
    run: Run | None = None
    for entry in _done(entries):
        if entry.action is Action.CANARY:
            run = _after(run, entry)
        elif run and run.is_running and entry.action in CHANGES and entry.release_id != run.beside:
            run = _ended(run, entry.ts, f"Release {entry.release_id} went into production.")
    return run


def noted_as_ended(entries: Sequence[Entry]) -> bool:
    """Whether the last entry about canaries says that one ended."""
    steps = [entry.figures["step"] for entry in _done(entries) if entry.action is Action.CANARY]
    return not steps or steps[-1] == Step.END


def _done(entries: Sequence[Entry]) -> Iterator[Entry]:
    return (entry for entry in entries if entry.phase is Phase.DONE)


def _after(run: Run | None, entry: Entry) -> Run | None:
    match Step(entry.figures["step"]):
        case Step.START:
            return _started(entry)
        case Step.SHARE if run:
            share = float(entry.figures["share"])
            closed = (*run.segments[:-1], replace(run.segments[-1], until=entry.ts))
            segments = (*closed, Segment(share, entry.ts))
            return replace(run, canary=replace(run.canary, share=share), segments=segments)
        case Step.RESTORE if run:
            return replace(run, segments=(Segment(run.canary.share, entry.ts),))
        case Step.END if run and run.is_running:
            return _ended(run, entry.ts, entry.reason)
    return run


def _started(entry: Entry) -> Run:
    figures = entry.figures
    canary = Canary(
        str(entry.release_id), str(entry.generation_id), figures["share"], figures["salt"], figures["started_ts"]
    )
    return Run(canary, entry.version, figures["beside"], (Segment(canary.share, entry.ts),))


def _ended(run: Run, moment: datetime, reason: str) -> Run:
    closed = replace(run.segments[-1], until=moment)
    return replace(run, segments=(*run.segments[:-1], closed), ended=reason or "Ended without a reason.")
