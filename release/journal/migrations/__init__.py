"""The journal's schema, version by version. Importing this imports Alembic, which takes a third of a second."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext

from release.journal.entries import RETIRED_VERSION, SCHEMA_VERSIONS, VERSION_TABLE

JOURNALS_BEFORE_VERSIONS = "0001"  # the schema that was written without saying which it is
BEFORE_THE_RETIRED = "0002"


def upgrade(connection: sa.Connection) -> str | None:
    """Bring the schema up to date in the transaction of this connection, and return its version then.

    One of a version that is not known here is left as it is.
    """
    if _schema_version(connection) == RETIRED_VERSION:
        _take_back_retired(connection)
    version = _schema_version(connection)
    if version is not None and version not in SCHEMA_VERSIONS:
        return version
    if version is None and sa.inspect(connection).has_table("journal"):
        command.stamp(_config(connection), JOURNALS_BEFORE_VERSIONS)
    command.upgrade(_config(connection), "head")
    return _schema_version(connection)


def upgrade_file(path: Path, lock_timeout_s: float) -> str | None:
    """The same for a SQLite file, in a transaction of its own. Raises the errors of sqlite3."""

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(path, timeout=lock_timeout_s, isolation_level=None)

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.NullPool)
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # two processes may open the same old journal at once
            return upgrade(connection)
    except sa.exc.DBAPIError as error:
        raise error.orig or error from error


def _take_back_retired(connection: sa.Connection) -> None:
    """Leave the entries as they are, and the table that the retired version added out.

    Code of that version adds it again, and would find it in its way. What it saved is made anew in a table that no
    version of the schema counts.
    """
    connection.exec_driver_sql("DROP TABLE IF EXISTS journal_checkpoints")
    if connection.dialect.name == "postgresql":
        for function in ("journal_checkpoints_refuse", "journal_checkpoints_refuse_wrong"):
            connection.exec_driver_sql(f"DROP FUNCTION IF EXISTS {function}()")
    connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '{BEFORE_THE_RETIRED}'")  # noqa: S608 - names of ours


def _schema_version(connection: sa.Connection) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return context.get_current_revision()


def _config(connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
