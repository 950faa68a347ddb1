"""The journal in a SQLite file, through Python's own sqlite3: other libraries take longer to import than a rollback
takes in all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from release.journal.database import LOCK_TIMEOUT_S, READ_VERSION, Connection, Database, Row, insertion

_RESTORE = "If it stays so, restore the file from a backup: see docs/runbook.md, `The journal is lost`."
_PERMISSIONS = "Mend the permissions of the file and of its folder."
_ADVICE = {
    "SQLITE_BUSY": "End the process that holds it.",
    "SQLITE_LOCKED": "End the process that holds it.",
    "SQLITE_FULL": "Free disk space.",
    "SQLITE_READONLY": _PERMISSIONS,
    "SQLITE_CANTOPEN": _PERMISSIONS,
    "SQLITE_PERM": _PERMISSIONS,
}


class SqliteDatabase(Database):
    """A file; made where there is none. Connections are opened for a moment each, so the file may be replaced."""

    kind = "sqlite"
    by_bytes = "COLLATE BINARY"

    def __init__(self, path: Path) -> None:
        super().__init__(str(path.absolute()))
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path.absolute()
        self._bring_up_to_date()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        try:
            with closing(self._connect()) as connection:
                yield SqliteConnection(connection)
        except sqlite3.Error as error:
            raise self._unusable(error, "read", _what_to_do(error)) from error

    @contextmanager
    def writing(self, wait_s: float = LOCK_TIMEOUT_S) -> Iterator[Connection]:
        try:
            with closing(self._connect(wait_s)) as connection:
                connection.execute("BEGIN IMMEDIATE")  # the driver would begin late, after the last entry was read
                yield SqliteConnection(connection)
                connection.execute("COMMIT")  # an error before this closes the connection, which rolls back
        except sqlite3.Error as error:
            raise self._unusable(error, "written", _what_to_do(error)) from error

    def close(self) -> None:
        """Nothing stays open."""

    def _connect(self, wait_s: float = LOCK_TIMEOUT_S) -> sqlite3.Connection:
        # Without an isolation level the driver begins no transaction on its own.
        connection = sqlite3.connect(self._path, timeout=wait_s, isolation_level=None)
        connection.row_factory = sqlite3.Row
        return connection

    def _schema_version(self) -> str | None:
        try:
            with closing(sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True)) as connection:
                row = connection.execute(READ_VERSION).fetchone()
        except sqlite3.Error:
            return None
        return None if row is None else str(row[0])

    def _upgrade(self) -> str | None:
        from release.journal.migrations import upgrade_file  # noqa: PLC0415 - Alembic: only where there is need

        try:
            return upgrade_file(self._path, LOCK_TIMEOUT_S)
        except sqlite3.Error as error:
            raise self._unusable(error, "written", _what_to_do(error)) from error


class SqliteConnection:
    """See `Connection`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, **parameters: object) -> list[Row]:
        """The rows that a query finds."""
        return [dict(row) for row in self._connection.execute(sql, parameters)]

    def insert(self, table: str, row: Row) -> None:
        """Add one row."""
        self._connection.execute(insertion(table, row), row)

    def execute(self, sql: str, **parameters: object) -> None:
        """Do what a statement says that finds no rows."""
        self._connection.execute(sql, parameters)

    def has_table(self, name: str) -> bool:
        """Whether there is a table of this name."""
        return bool(self.rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = :name", name=name))


def _what_to_do(error: sqlite3.Error) -> str:
    """What mends it, by SQLite's own name of the error; a few errors of the driver have none."""
    name = getattr(error, "sqlite_errorname", "")
    for beginning, advice in _ADVICE.items():
        if name.startswith(beginning):
            return advice
    return _RESTORE
