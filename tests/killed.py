"""Death at a chosen step: what a test does in place of SIGKILL where a process of its own would show no more."""

from __future__ import annotations

from contracts.clock import Clock
from contracts.home import Home
from release.journal.entries import Action, Entry, Note, Phase
from release.journal.journal import Journal


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours may catch it."""


class KillingJournal(Journal):
    """A journal that dies before it has written an entry of this kind."""

    def __init__(self, home: Home, app: str, action: Action, phase: Phase, clock: Clock | None = None) -> None:
        super().__init__(home, app, *([clock] if clock else []))
        self._fatal = (action, phase)

    def append(self, note: Note) -> Entry:
        if (note.action, note.phase) == self._fatal:
            raise Killed
        return super().append(note)
