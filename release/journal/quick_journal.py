"""The journal's SQLite file through Python's own sqlite3: importing SQLAlchemy takes longer than a whole rollback.

It reads and appends as `Journal` does, and only where it finds the table that it knows; a journal elsewhere, none yet,
or one of another Slatework is opened by `Journal`, which knows what to do with it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import fields
from pathlib import Path

from contracts.clock import Clock, WallClock
from contracts.errors import WorkspaceError
from contracts.home import Home
from release.journal.entries import SCHEMA_VERSIONS, URL_VARIABLE, VERSION_TABLE, Entry, Note, NoteBook
from release.journal.view import JournalView

LOCK_TIMEOUT_S = 30  # appends are milliseconds apart; this long a lock means a dead disk or a hanging process

_COLUMNS = tuple(part.name for part in fields(Entry))
_INSERT = f"INSERT INTO journal ({', '.join(_COLUMNS)}) VALUES ({', '.join(f':{name}' for name in _COLUMNS)})"  # noqa: S608 - names of our own


def open_journal(home: Home, app: str, clock: Clock | None = None) -> NoteBook:
    """The journal of one application, opened in the quickest way there is."""
    if not os.environ.get(URL_VARIABLE) and _is_known(home.journal_database):
        return QuickJournal(home.journal_database, app, clock)
    from release.journal.journal import Journal  # noqa: PLC0415 - what this module is there to avoid

    return Journal(home, app, clock)


class QuickJournal:
    """The entries of one application in a file that is there. Raises WorkspaceError where it cannot be used."""

    def __init__(self, path: Path, app: str, clock: Clock | None = None) -> None:
        self._path = path
        self._app = app
        self._clock = clock or WallClock()

    def append(self, note: Note) -> Entry:
        """Write one entry behind the last, and return it with its id, time and hash."""
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")  # what is read from here on stays the last
            last = connection.execute("SELECT id, hash FROM journal ORDER BY id DESC LIMIT 1").fetchone()
            entry = Entry.behind(last and tuple(last), note, self._clock.now(), self._app)
            connection.execute(_INSERT, entry.to_row())
            connection.execute("COMMIT")
        return entry

    def view(self) -> JournalView:
        """What the entries of this application come to now."""
        return JournalView.of(self.entries())

    def entries(self) -> list[Entry]:
        """All entries of this application, oldest first."""
        with self._connected() as connection:
            rows = connection.execute("SELECT * FROM journal WHERE app = ? ORDER BY id", (self._app,)).fetchall()
        return [Entry.from_row(dict(row)) for row in rows]

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        try:
            # Without an isolation level the driver begins nothing on its own; what is open at the end is rolled back.
            with closing(sqlite3.connect(self._path, timeout=LOCK_TIMEOUT_S, isolation_level=None)) as connection:
                connection.row_factory = sqlite3.Row
                yield connection
        except sqlite3.Error as error:
            raise WorkspaceError(
                f"The journal {self._path} cannot be used: {error}",
                "Free disk space, mend the permissions, or end the process that holds it.",
            ) from error


def _is_known(path: Path) -> bool:
    """Whether the file is a journal at the newest schema."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            found = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()  # noqa: S608 - a name of ours
    except sqlite3.Error:
        return False
    return bool(found == (SCHEMA_VERSIONS[-1],))
