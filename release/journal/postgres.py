"""The journal in a Postgres database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from contracts.addresses import ENCODE, printable_address
from contracts.errors import SettingsError
from release.journal.database import LOCK_TIMEOUT_S, READ_VERSION, Connection, Database, Row, insertion
from release.journal.entries import URL_VARIABLE

REACH_TIMEOUT_S = 5
WRITERS_LOCK = 0x51A7E  # any number that nobody else in the database takes

_DRIVER = "postgresql+psycopg2"
_WHAT_TO_DO = f"See that it runs and lets this user in, or mend {URL_VARIABLE}; what is served stays served."


class PostgresDatabase(Database):
    """A database on a server. Raises SettingsError where the URL is none of Postgres."""

    kind = "postgres"
    by_bytes = 'COLLATE "C"'

    def __init__(self, url: str) -> None:
        address = _address(url)
        super().__init__(printable_address(url))
        self._engine = _engine(address)
        self._bring_up_to_date()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                yield PostgresConnection(connection)
        except sa.exc.DBAPIError as error:
            raise self._unusable(error.orig or error, "read", _WHAT_TO_DO) from error

    @contextmanager
    def writing(self, wait_s: float = LOCK_TIMEOUT_S) -> Iterator[Connection]:
        try:
            with self._transaction(wait_s) as connection:
                yield PostgresConnection(connection)
        except sa.exc.DBAPIError as error:
            raise self._unusable(error.orig or error, "written", _WHAT_TO_DO) from error

    def close(self) -> None:
        """Let go of the server."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self, wait_s: float = LOCK_TIMEOUT_S) -> Iterator[sa.Connection]:
        with self._engine.begin() as connection:
            if wait_s != LOCK_TIMEOUT_S:  # which every connection has from its start
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{round(1000 * wait_s)}ms'")
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(WRITERS_LOCK)))
            yield connection

    def _schema_version(self) -> str | None:
        try:
            with self._engine.connect() as connection:
                return connection.execute(sa.text(READ_VERSION)).scalar()
        except sa.exc.DBAPIError:
            return None

    def _upgrade(self) -> str | None:
        from release.journal.migrations import upgrade  # noqa: PLC0415 - Alembic: only where there is need

        try:
            with self._transaction() as connection:
                return upgrade(connection)
        except sa.exc.DBAPIError as error:
            raise self._unusable(error.orig or error, "written", _WHAT_TO_DO) from error


class PostgresConnection:
    """See `Connection`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, **parameters: object) -> list[Row]:
        """The rows that a query finds."""
        return [dict(row) for row in self._connection.execute(sa.text(sql), parameters).mappings()]

    def insert(self, table: str, row: Row) -> None:
        """Add one row."""
        self._connection.execute(sa.text(insertion(table, row)), row)

    def execute(self, sql: str, **parameters: object) -> None:
        """Do what a statement says that finds no rows."""
        self._connection.execute(sa.text(sql), parameters)

    def has_table(self, name: str) -> bool:
        """Whether there is a table of this name."""
        return bool(self.rows("SELECT 1 WHERE to_regclass(:name) IS NOT NULL", name=name))


def _address(text: str) -> sa.URL:
    try:
        url = sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError):
        raise _not_postgres("what is set is no URL") from None
    if url.drivername not in {"postgresql", _DRIVER} or not url.database:
        raise _not_postgres(f"it is {printable_address(text)}")
    return url.set(drivername=_DRIVER)


def _engine(address: sa.URL) -> sa.Engine:
    arguments = {"connect_timeout": REACH_TIMEOUT_S, "options": f"-c lock_timeout={LOCK_TIMEOUT_S}s"}
    # Read committed: a writer must see what was written while it waited for its turn.
    return sa.create_engine(
        address, connect_args=arguments, isolation_level="READ COMMITTED", pool_size=1, pool_pre_ping=True
    )


def _not_postgres(why: str) -> SettingsError:
    return SettingsError(
        f"{URL_VARIABLE} is no address of a Postgres database: {why}.",
        f"Write postgresql://user:password@host:5432/journal, or unset it for a file under SLATE_HOME. {ENCODE}",
    )
