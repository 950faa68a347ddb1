"""The journal: what was asked, decided, switched and written back, when and why. It, not MLflow, tells the past.

Entries are only ever appended: triggers of the database refuse anything else, and each entry carries the hash of the
one before it, so that tampering shows. What they come to is told by a view, which reads what came since the last one.
Reading writes nothing; who decides, or has moved the pointer, calls `keep_checkpoint`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import islice

from contracts.clock import Clock, WallClock
from contracts.errors import ArtefactError, WorkspaceError
from contracts.home import Home
from release.journal.chain import Verification, check_chain, check_head, wrong_checkpoints
from release.journal.checkpoints import ENTRIES_PER_CHECKPOINT, ENTRIES_PER_LATE_CHECKPOINT, Checkpoint, CheckpointTable
from release.journal.database import open_database
from release.journal.entries import Entry, Note
from release.journal.moves import LateMove
from release.journal.standing import Standing
from release.journal.table import EntryTable, changed
from release.journal.view import CHANGES, JournalView

LOG = logging.getLogger(__name__)

KEEPING_WAIT_S = 0.1  # for other writers: a checkpoint saves somebody's time later, and can be kept by the next


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
            self._view = self._extended(table, self._known(table))
        return self._view

    def keep_checkpoint(self) -> None:
        """Let new processes start from here, where enough entries came since the last checkpoint.

        Where far more came (a journal from before there were checkpoints), one is written every so often on the way
        too, so that what stood at an earlier moment is read as quickly. One that cannot be written at once costs time
        later, and stops nobody now.
        """
        view = self.view()
        if view.n_entries - view.n_kept < ENTRIES_PER_CHECKPOINT:
            return
        for earlier in list(self._on_the_way(view)):  # the connection is free before one is written
            self._add_checkpoint(Checkpoint.of_view(earlier, self._app))
        self._add_checkpoint(Checkpoint.of_view(view, self._app))
        self._view = replace(view, n_kept=view.n_entries)  # also where it failed: not again with each entry

    def _on_the_way(self, view: JournalView) -> Iterator[JournalView]:
        """The views between the last checkpoint and this one, ENTRIES_PER_LATE_CHECKPOINT from one to the next."""
        n_between = (view.n_entries - view.n_kept - 1) // ENTRIES_PER_LATE_CHECKPOINT
        if not n_between:
            return
        with self._reading() as table:
            earlier = CheckpointTable(table).view(self._app, self._nothing()) or self._nothing()
            entries = table.following(earlier.last_id, self._app, up_to=view.last_id)
            try:
                for _ in range(n_between):
                    earlier = earlier.extended(islice(entries, ENTRIES_PER_LATE_CHECKPOINT))
                    yield earlier
            except LateMove:
                return  # only all entries say what stood then

    def at(self, moment: datetime) -> Standing:
        """What stood where at a moment."""
        with self._reading() as table:
            nothing = self._nothing(moment)
            kept = CheckpointTable(table).view(self._app, nothing, until=moment)
            view = self._extended(table, kept or nothing, until=moment)
            begun = [intent.id for intent in view.open_intents(*CHANGES)]
            later = table.done_later(begun, moment)
        return Standing.of(view, moment, later)

    def entry(self, entry_id: int) -> Entry:
        """The entry of this id; raises ArtefactError where there is none."""
        entry = self._read_entry(entry_id)
        if entry is None:
            raise changed(self._database, f"entry {entry_id} is missing")
        return entry

    def latest(self, n: int) -> list[Entry]:
        """The last n entries of this application, oldest first."""
        with self._reading() as table:
            return table.latest(self._app, n)

    def entries(self) -> list[Entry]:
        """All entries of this application, oldest first: as many as there are."""
        with self._reading() as table:
            return list(table.following(None, self._app))

    def verify(self, head: str | None = None, *, since_last: bool = False, retire: bool = False) -> Verification:
        """Check the chain of hashes over every application, and the checkpoints against the entries.

        head: of an entry that must be there, as it was kept elsewhere; without one, entries cut off at the end do not
        show. since_last: check the entries behind the last one that was checked so before, take those up to it for
        sound, and leave the checkpoints out. retire: remove the checkpoints that are wrong.
        Raises ArtefactError naming the first entry that was changed, or after which some are missing; else, unless they
        are removed, the checkpoints that the entries do not come to.
        """
        with self._reading() as table:
            last, checked_from = check_chain(table, CheckpointTable(table).last_sound_entry() if since_last else None)
            if head is not None:
                check_head(table, head)
            wrong = () if since_last else tuple(wrong_checkpoints(table))
        n_entries = last.id if last else 0
        if wrong and not retire:
            raise self._wrong(wrong, n_entries)
        if wrong:
            self._retire(wrong)
        if since_last and last is not None:
            self._add_checkpoint(Checkpoint.of_chain(last))
        return Verification(n_entries, checked_from, wrong)

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    @contextmanager
    def _reading(self) -> Iterator[EntryTable]:
        with self._database.reading() as connection:
            yield EntryTable(self._database, connection)

    def _read_entry(self, entry_id: int) -> Entry | None:
        with self._reading() as table:
            return table.by_id([entry_id]).get(entry_id)

    def _nothing(self, until: datetime | None = None) -> JournalView:
        """The view of no entries; until: for one that is to end at this moment."""
        return JournalView(read_entry=self._read_entry, refold=partial(self._refolded, until=until))

    def _refolded(self, last_id: int, *, until: datetime | None) -> JournalView:
        with self._reading() as table:
            return self._nothing(until).extended(table.following(0, self._app, up_to=last_id, until=until))

    def _known(self, table: EntryTable) -> JournalView:
        """The last view, where its last entry is still there (a backup may have been restored), else a kept one."""
        view = self._view
        if view is not None and view.last is not None and table.by_id([view.last_id]).get(view.last_id) == view.last:
            return view
        return CheckpointTable(table).view(self._app, self._nothing()) or self._nothing()

    def _extended(self, table: EntryTable, view: JournalView, until: datetime | None = None) -> JournalView:
        """The view with the entries behind it; of all entries, where one of them needs that."""
        try:
            return view.extended(table.following(view.last_id, self._app, until=until))
        except LateMove:
            return self._nothing(until).extended(table.following(0, self._app, until=until))

    def _add_checkpoint(self, checkpoint: Checkpoint) -> None:
        try:
            with self._database.writing(KEEPING_WAIT_S) as connection:
                CheckpointTable(EntryTable(self._database, connection)).add(checkpoint)
        except WorkspaceError as error:
            LOG.warning("No checkpoint of the journal was kept, so that the next reader reads more: %s", error)

    def _retire(self, checkpoints: Iterable[Checkpoint]) -> None:
        with self._database.writing() as connection:
            table = CheckpointTable(EntryTable(self._database, connection))
            for checkpoint in checkpoints:
                table.delete(checkpoint)

    def _wrong(self, checkpoints: Sequence[Checkpoint], n_entries: int) -> ArtefactError:
        names = ", ".join(checkpoint.name for checkpoint in checkpoints)
        return ArtefactError(
            f"{self._database.address}: the {n_entries} entries are sound, but this is not what they come to: {names}.",
            "Run `slate journal verify --retire`: it removes such checkpoints, and the entries before them are read "
            "again. No backup is needed.",
        )
