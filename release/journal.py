"""The journal: what was asked, decided, switched and written back, when and why. It, not MLflow, tells the past.

A SQL database (SQLite at SLATE_HOME/journal.db) with one table. Entries are only ever appended: triggers refuse
UPDATE and DELETE, and each entry carries the hash of the one before it, so that tampering with the file shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from contracts.clock import Clock, WallClock
from contracts.errors import ArtefactError, WorkspaceError
from contracts.home import Home
from release.journal_entries import FIRST_HASH, Action, Entry, Note, Phase

__all__ = ["FIRST_HASH", "Action", "Entry", "Journal", "Note", "Phase"]

BUSY_TIMEOUT_S = 30  # appends are milliseconds apart; this long a lock means a dead disk

_METADATA = sa.MetaData()
_TABLE = sa.Table(
    "journal",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("ts", sa.String, nullable=False),
    sa.Column("app", sa.String, nullable=False, index=True),
    sa.Column("action", sa.String, nullable=False),
    sa.Column("phase", sa.String, nullable=False),
    sa.Column("release_id", sa.String),
    sa.Column("generation_id", sa.String),
    sa.Column("version", sa.Integer),
    sa.Column("epoch", sa.Integer),
    sa.Column("requester", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("figures", sa.String, nullable=False),
    sa.Column("intent_id", sa.Integer),
    sa.Column("previous_hash", sa.String, nullable=False),
    sa.Column("hash", sa.String, nullable=False),
)
_APPEND_ONLY = """
CREATE TRIGGER IF NOT EXISTS journal_refuses_{verb} BEFORE {verb} ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only: {verb} is refused'); END
"""


class Journal:
    """The entries of one application, oldest first, and the one way to add to them.

    clock: stamps the entries. Raises WorkspaceError where the database cannot be opened or written.
    """

    def __init__(self, home: Home, app: str, clock: Clock | None = None) -> None:
        self._path = home.journal_database
        self._app = app
        self._clock = clock or WallClock()
        home.root.mkdir(parents=True, exist_ok=True)
        self._engine = _open(f"sqlite:///{self._path}")
        with self._writing() as connection:
            _METADATA.create_all(connection)
            for verb in ("UPDATE", "DELETE"):
                connection.exec_driver_sql(_APPEND_ONLY.format(verb=verb))

    def append(self, note: Note) -> Entry:
        """Write one entry behind the last, and return it with its id, time and hash."""
        with self._writing() as connection:
            last = connection.execute(sa.select(_TABLE).order_by(_TABLE.c.id.desc()).limit(1)).first()
            entry = Entry.behind((last.id, last.hash) if last else None, note, self._clock.now(), self._app)
            connection.execute(_TABLE.insert().values(entry.to_row()))
        return entry

    def entries(self) -> list[Entry]:
        """All entries of this application, oldest first."""
        return self._read(sa.select(_TABLE).where(_TABLE.c.app == self._app).order_by(_TABLE.c.id))

    def verify(self) -> int:
        """Check the chain of hashes over every application, and return the number of entries.

        Raises ArtefactError naming the first entry that was changed, or after which some are missing.
        """
        previous = FIRST_HASH
        entries = self._read(sa.select(_TABLE).order_by(_TABLE.c.id))
        for number, entry in enumerate(entries, start=1):
            if (entry.id, entry.previous_hash, entry.hash) != (number, previous, entry.computed_hash()):
                raise ArtefactError(
                    f"{self._path}: entry {entry.id} does not follow from the one before it; the journal was changed.",
                    "Restore the file from a backup; the entries before this one are sound.",
                )
            previous = entry.hash
        return len(entries)

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def _read(self, query: sa.Select[Any]) -> list[Entry]:
        with self._engine.connect() as connection:
            return [Entry.from_row(dict(row)) for row in connection.execute(query).mappings()]

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except sa.exc.OperationalError as error:
            raise WorkspaceError(
                f"The journal {self._path} cannot be written: {error.orig}",
                "Free disk space, mend the permissions, or end the process that holds it.",
            ) from error


def _open(url: str) -> sa.Engine:
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S}, poolclass=sa.NullPool)
    # SQLite's driver would begin late, after the last entry was read: two writers could then follow the same entry.
    sa.event.listen(engine, "connect", _leave_transactions_to_us)
    sa.event.listen(engine, "begin", _begin_immediate)
    return engine


def _leave_transactions_to_us(connection: Any, _record: Any) -> None:
    connection.isolation_level = None


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
