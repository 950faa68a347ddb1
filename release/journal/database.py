"""What the journal needs of the database under it: SQLite at SLATE_HOME/journal.db, or Postgres at SLATE_JOURNAL_URL.

Both are asked in the same SQL, with named parameters. On both, one process writes at a time, and nobody who reads takes
the writers' lock. Opening one brings its schema up to date.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Literal, Protocol

from contracts.errors import WorkspaceError
from contracts.home import Home
from release.journal.entries import RETIRED_VERSION, SCHEMA_VERSIONS, URL_VARIABLE, VERSION_TABLE

LOCK_TIMEOUT_S = 30  # appends are milliseconds apart; this long a lock means a dead disk or a hanging process
READ_VERSION = f"SELECT version_num FROM {VERSION_TABLE}"  # noqa: S608 - a name of ours

Row = dict[str, Any]


class Connection(Protocol):
    """An open connection. Parameters are written `:name` in the SQL."""

    def rows(self, sql: str, **parameters: object) -> list[Row]:
        """The rows that a query finds."""
        ...

    def insert(self, table: str, row: Row) -> None:
        """Add one row."""
        ...

    def execute(self, sql: str, **parameters: object) -> None:
        """Do what a statement says that finds no rows."""
        ...

    def has_table(self, name: str) -> bool:
        """Whether there is a table of this name."""
        ...


class Database(ABC):
    """The database of a journal, at the newest schema.

    Raises WorkspaceError where it cannot be reached, read or written, or is of a newer Slatework.
    kind: where SQL must differ. by_bytes: what makes a comparison of texts one of their bytes, whatever language the
    database was set up for.
    """

    kind: ClassVar[Literal["sqlite", "postgres"]]
    by_bytes: ClassVar[str]

    def __init__(self, address: str) -> None:
        self.address = address

    @abstractmethod
    def reading(self) -> AbstractContextManager[Connection]:
        """A connection for queries."""

    @abstractmethod
    def writing(self, wait_s: float = LOCK_TIMEOUT_S) -> AbstractContextManager[Connection]:
        """A transaction that no other writer can come between: what is read in it stays the last.

        wait_s: for other writers to end, at most.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of the database."""

    @abstractmethod
    def _schema_version(self) -> str | None:
        """The schema's version; None where there is none yet, or nobody answers."""

    @abstractmethod
    def _upgrade(self) -> str | None:
        """Bring the schema up to date unless its version is unknown; returns the version then."""

    def _bring_up_to_date(self) -> None:
        version = self._schema_version()
        if version is None or version in {*SCHEMA_VERSIONS[:-1], RETIRED_VERSION}:
            version = self._upgrade()
        if version not in SCHEMA_VERSIONS:
            raise WorkspaceError(
                f"The journal {self.address} has schema version {version}; this Slatework knows {SCHEMA_VERSIONS[0]} "
                f"to {SCHEMA_VERSIONS[-1]}.",
                "A newer Slatework opened it: bring this checkout up to date (`git pull`, `make env`).",
            )

    def _unusable(self, error: BaseException, purpose: str, what_to_do: str) -> WorkspaceError:
        """purpose: `read` or `written`."""
        cause = " ".join(str(error).split())
        return WorkspaceError(f"The journal {self.address} cannot be {purpose}: {cause}", what_to_do)


def open_database(home: Home) -> Database:
    """The database at SLATE_JOURNAL_URL when set, else the file under SLATE_HOME.

    Raises SettingsError unless that URL is one of Postgres. Only the driver that is needed is imported.
    """
    url = os.environ.get(URL_VARIABLE)
    if url:
        from release.journal.postgres import PostgresDatabase  # noqa: PLC0415 - SQLAlchemy: a rollback need not wait

        return PostgresDatabase(url)
    from release.journal.sqlite import SqliteDatabase  # noqa: PLC0415 - as above

    return SqliteDatabase(home.journal_database)


def insertion(table: str, row: Row) -> str:
    """The SQL that adds a row of these columns."""
    return f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})"  # noqa: S608 - names of ours
