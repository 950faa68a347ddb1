"""The journal: what was asked, decided, switched and written back, when and why. It, not MLflow, tells the past.

A SQL database with one table. Entries are only ever appended: triggers refuse anything else, and each entry carries the
hash of the one before it, so that tampering shows.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from contracts.clock import Clock, WallClock
from contracts.errors import ArtefactError
from contracts.home import Home
from release.journal.database import JournalDatabase
from release.journal.entries import FIRST_HASH, Action, CanaryStep, Entry, Note, Phase
from release.journal.standing import Standing
from release.journal.view import JournalView

__all__ = ["FIRST_HASH", "Action", "CanaryStep", "Entry", "Journal", "Note", "Phase"]

_TABLE = sa.table("journal", *(sa.column(part.name) for part in fields(Entry)))


class Journal:
    """The entries of one application, oldest first, and the one way to add to them.

    clock: stamps the entries. Every call raises WorkspaceError where the database cannot be reached, read or written.
    """

    def __init__(self, home: Home, app: str, clock: Clock | None = None) -> None:
        self._database = JournalDatabase(home)
        self._app = app
        self._clock = clock or WallClock()

    def append(self, note: Note) -> Entry:
        """Write one entry behind the last, and return it with its id, time and hash."""
        with self._database.writing() as connection:
            last = connection.execute(sa.select(_TABLE).order_by(_TABLE.c.id.desc()).limit(1)).first()
            entry = Entry.behind((last.id, last.hash) if last else None, note, self._clock.now(), self._app)
            connection.execute(_TABLE.insert().values(entry.to_row()))
        return entry

    def view(self) -> JournalView:
        """What the entries of this application come to now."""
        return JournalView.of(self.entries())

    def at(self, moment: datetime) -> Standing:
        """What stood where at a moment."""
        entries = self.entries()
        later = {entry.intent_id or 0 for entry in entries if entry.ts > moment and entry.phase is Phase.DONE}
        return Standing.of(JournalView.of(entry for entry in entries if entry.ts <= moment), moment, later)

    def entries(self) -> list[Entry]:
        """All entries of this application, oldest first."""
        return self._read(sa.select(_TABLE).where(_TABLE.c.app == self._app).order_by(_TABLE.c.id))

    def verify(self, head: str | None = None) -> int:
        """Check the chain of hashes over every application, and return the number of entries.

        head: of an entry that must be there, as it was kept elsewhere; without one, entries cut off at the end do not
        show. Raises ArtefactError naming the first entry that was changed, or after which some are missing.
        """
        previous = FIRST_HASH
        entries = self._read(sa.select(_TABLE).order_by(_TABLE.c.id))
        for number, entry in enumerate(entries, start=1):
            if (entry.id, entry.previous_hash, entry.hash) != (number, previous, entry.computed_hash()):
                raise self._changed(f"entry {entry.id} does not follow from the one before it")
            previous = entry.hash
        if head is not None and head not in {entry.head for entry in entries}:
            raise self._changed(f"entry {head.partition(':')[0]} is not the one that was kept elsewhere, or is cut off")
        return len(entries)

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def _read(self, query: sa.Select[Any]) -> list[Entry]:
        with self._database.reading() as connection:
            rows = connection.execute(query).mappings().all()
        return [self._entry(row) for row in rows]

    def _entry(self, row: sa.RowMapping) -> Entry:
        try:
            return Entry.from_row(dict(row))
        except ValueError as error:
            raise self._changed(f"entry {row['id']} cannot be understood ({error})") from error

    def _changed(self, found: str) -> ArtefactError:
        return ArtefactError(
            f"{self._database.address}: {found}; the journal was changed, or written by a newer Slatework.",
            "Restore it from a backup (the entries before this one are sound), or bring this checkout up to date.",
        )
