"""The database under the journal: SQLite at SLATE_HOME/journal.db, or Postgres at SLATE_JOURNAL_URL.

Opening it brings its schema up to date. On both, one process writes at a time and readers wait for nobody.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from contracts.errors import SettingsError, WorkspaceError
from contracts.home import Home
from release.journal.entries import SCHEMA_VERSIONS, URL_VARIABLE, VERSION_TABLE

LOCK_TIMEOUT_S = 30  # appends are milliseconds apart; this long a lock means a dead disk or a hanging process
REACH_TIMEOUT_S = 5
WRITERS_LOCK = 0x51A7E  # any number that nobody else in the database takes

_READ_VERSION = sa.select(sa.column("version_num", sa.String)).select_from(sa.table(VERSION_TABLE))
_DRIVER = "postgresql+psycopg2"
_WHAT_TO_DO = {
    "sqlite": "Free disk space, mend the permissions, or end the process that holds it.",
    "postgresql": f"See that it runs and lets this user in, or mend {URL_VARIABLE}; what is served stays served.",
}


def journal_url(home: Home) -> sa.URL:
    """SLATE_JOURNAL_URL when set, else the SQLite file under SLATE_HOME; raises SettingsError unless it is Postgres."""
    named = os.environ.get(URL_VARIABLE)
    if not named:
        return sa.URL.create("sqlite", database=str(home.journal_database.absolute()))
    try:
        url = sa.make_url(named)
    except (sa.exc.ArgumentError, ValueError):
        raise _no_address("what is set is no URL") from None
    if url.drivername not in {"postgresql", _DRIVER} or not url.database:
        raise _no_address(f"it is {url.render_as_string(hide_password=True)}")
    return url.set(drivername=_DRIVER)


class JournalDatabase:
    """A connection to the journal's database at the newest schema.

    Raises WorkspaceError where it cannot be reached, read or written, or is of a newer Slatework.
    """

    def __init__(self, home: Home) -> None:
        url = journal_url(home)
        self.address = url.database if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)
        self._what_to_do = _WHAT_TO_DO[url.get_backend_name()]
        home.root.mkdir(parents=True, exist_ok=True)
        self._engine = _engine(url)
        self._bring_up_to_date()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection for one query."""
        with self._errors_are_ours("read"), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that no other writer can come between: what is read in it stays the last."""
        with self._errors_are_ours("written"), self._engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                # Its driver would begin late, after the last entry was read: two writers could then follow the same.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(WRITERS_LOCK)))
            yield connection

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def _bring_up_to_date(self) -> None:
        if self._version_found() == SCHEMA_VERSIONS[-1]:
            return
        from release.journal.migrations import upgrade  # noqa: PLC0415 - Alembic, which a rollback need not wait for

        with self.writing() as connection:
            self._refuse_newer(upgrade(connection))

    def _version_found(self) -> str | None:
        """The schema's version; None where there is none yet, or nobody answers."""
        try:
            with self._engine.connect() as connection:
                found = connection.execute(_READ_VERSION).scalar()
        except sa.exc.DBAPIError:
            return None
        self._refuse_newer(found)
        return found

    def _refuse_newer(self, found: str | None) -> None:
        if found is not None and found not in SCHEMA_VERSIONS:
            raise WorkspaceError(
                f"The journal {self.address} has schema version {found}; this Slatework knows {SCHEMA_VERSIONS[0]} to "
                f"{SCHEMA_VERSIONS[-1]}.",
                "A newer Slatework opened it: bring this checkout up to date (`git pull`, `make env`).",
            )

    @contextmanager
    def _errors_are_ours(self, done: str) -> Iterator[None]:
        try:
            yield
        except sa.exc.DBAPIError as error:
            cause = " ".join(str(error.orig).split())
            raise WorkspaceError(f"The journal {self.address} cannot be {done}: {cause}", self._what_to_do) from error


def _engine(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() == "sqlite":
        engine = sa.create_engine(url, connect_args={"timeout": LOCK_TIMEOUT_S}, poolclass=sa.NullPool)
        sa.event.listen(engine, "connect", _leave_transactions_to_us)
        return engine
    arguments = {"connect_timeout": REACH_TIMEOUT_S, "options": f"-c lock_timeout={LOCK_TIMEOUT_S}s"}
    # Read committed: a writer must see what was written while it waited for its turn.
    return sa.create_engine(
        url, connect_args=arguments, isolation_level="READ COMMITTED", pool_size=1, pool_pre_ping=True
    )


def _leave_transactions_to_us(connection: Any, _record: Any) -> None:
    connection.isolation_level = None


def _no_address(found: str) -> SettingsError:
    return SettingsError(
        f"{URL_VARIABLE} is no address of a Postgres database: {found}.",
        "Write postgresql://user:password@host:5432/journal, or unset it for the SQLite file under SLATE_HOME.",
    )
