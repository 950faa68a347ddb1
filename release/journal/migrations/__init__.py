"""The journal's schema, version by version. Importing this imports Alembic, which takes a third of a second."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext

from release.journal.entries import SCHEMA_VERSIONS, VERSION_TABLE

JOURNALS_BEFORE_VERSIONS = "0001"  # the schema that was written without saying which it is


def upgrade(connection: sa.Connection) -> str | None:
    """Bring the schema up to date in the transaction of this connection, and return its version then.

    One of a version that is not known here is left as it is.
    """
    found = _version(connection)
    if found is not None and found not in SCHEMA_VERSIONS:
        return found
    if found is None and sa.inspect(connection).has_table("journal"):
        command.stamp(_config(connection), JOURNALS_BEFORE_VERSIONS)
    command.upgrade(_config(connection), "head")
    return _version(connection)


def _version(connection: sa.Connection) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return context.get_current_revision()


def _config(connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
