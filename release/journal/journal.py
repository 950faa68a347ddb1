"""The journal: what was asked, decided, switched and written back, when and why. It, not MLflow, tells the past.

Entries are only ever appended: triggers of the database refuse anything else, and each entry carries the hash of the
one before it, so that tampering shows. What they come to is told by a view, which reads what came since the last one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from contracts.clock import Clock, WallClock
from contracts.errors import WorkspaceError
from contracts.home import Home
from release.journal.chain import check_chain, check_checkpoints, check_head
from release.journal.checkpoints import EVERY, Checkpoint, CheckpointTable
from release.journal.database import open_database
from release.journal.entries import FIRST_HASH, Action, CanaryStep, Entry, Note, Phase
from release.journal.moves import LateMove
from release.journal.standing import Standing
from release.journal.table import EntryTable, changed
from release.journal.view import CHANGES, JournalView

__all__ = ["FIRST_HASH", "Action", "CanaryStep", "Entry", "Journal", "Note", "Phase"]

LOG = logging.getLogger(__name__)


class Journal:
    """The entries of one application, and the one way to add to them.

    clock: stamps the entries. Every call raises WorkspaceError where the database cannot be reached, read or written,
    ArtefactError where an entry that it reads cannot be understood.
    """

    def __init__(self, home: Home, app: str, clock: Clock | None = None) -> None:
        self._database = open_database(home)
        self._app = app
        self._clock = clock or WallClock()
        self._view: JournalView | None = None

    def append(self, note: Note) -> Entry:
        """Write one entry behind the last, and return it with its id, time and hash."""
        with self._database.writing() as connection:
            table = EntryTable(self._database, connection)
            entry = Entry.behind(table.end(), note, self._clock.now(), self._app)
            table.append(entry)
        return entry

    def view(self) -> JournalView:
        """What the entries of this application come to now.

        Reads what came since the last call; in a new process, since the last checkpoint.
        """
        with self._reading() as table:
            view = self._extended(table, self._known(table))
        if view.n_entries - view.n_kept >= EVERY:
            view = self._keep(view)
        self._view = view
        return view

    def at(self, moment: datetime) -> Standing:
        """What stood where at a moment."""
        with self._reading() as table:
            kept = CheckpointTable(table).view(self._app, self.entry, until=moment)
            view = self._extended(table, kept or self._nothing(), until=moment)
            begun = [intent.id for intent in view.open_intents(*CHANGES)]
            return Standing.of(view, moment, table.done_later(begun, moment))

    def entry(self, entry_id: int) -> Entry:
        """The entry of this id; raises ArtefactError where there is none."""
        with self._reading() as table:
            entries = table.by_id([entry_id])
        if entry_id not in entries:
            raise changed(self._database, f"entry {entry_id} is missing")
        return entries[entry_id]

    def latest(self, n: int) -> list[Entry]:
        """The last n entries of this application, oldest first."""
        with self._reading() as table:
            return table.latest(self._app, n)

    def entries(self) -> list[Entry]:
        """All entries of this application, oldest first: as many as there are."""
        with self._reading() as table:
            return list(table.following(0, self._app))

    def verify(self, head: str | None = None, *, since_last: bool = False) -> int:
        """Check the chain of hashes over every application, and return the number of entries.

        head: of an entry that must be there, as it was kept elsewhere; without one, entries cut off at the end do not
        show. since_last: check the entries behind the last one that was checked so before, and take those up to it for
        sound. Raises ArtefactError naming the first entry that was changed, or after which some are missing, or the
        first checkpoint that the entries do not come to.
        """
        with self._reading() as table:
            start = CheckpointTable(table).last_sound_entry() if since_last else None
            last = check_chain(table, start)
            if head is not None:
                check_head(table, head)
            if not since_last:
                check_checkpoints(table)
        if since_last and last is not None:
            with self._database.writing() as connection:
                CheckpointTable(EntryTable(self._database, connection)).add(Checkpoint.of_chain(last))
        return last.id if last else 0

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    @contextmanager
    def _reading(self) -> Iterator[EntryTable]:
        with self._database.reading() as connection:
            yield EntryTable(self._database, connection)

    def _nothing(self) -> JournalView:
        return JournalView(read_entry=self.entry)

    def _known(self, table: EntryTable) -> JournalView:
        """The last view, where its last entry is still there (a backup may have been restored), else a kept one."""
        view = self._view
        if view is not None and view.last is not None and table.by_id([view.last_id]).get(view.last_id) == view.last:
            return view
        return CheckpointTable(table).view(self._app, self.entry) or self._nothing()

    def _extended(self, table: EntryTable, view: JournalView, until: datetime | None = None) -> JournalView:
        """The view with the entries behind it; of all entries, where one of them needs that."""
        try:
            return view.extended(table.following(view.last_id, self._app, until=until))
        except LateMove:
            return self._nothing().extended(table.following(0, self._app, until=until))

    def _keep(self, view: JournalView) -> JournalView:
        """Write a checkpoint of the view. One that cannot be written costs time later, and stops nobody now."""
        try:
            with self._database.writing() as connection:
                CheckpointTable(EntryTable(self._database, connection)).add(Checkpoint.of_view(view, self._app))
        except WorkspaceError as error:
            LOG.warning("No checkpoint of the journal was kept: %s", error)
        return replace(view, n_kept=view.n_entries)
