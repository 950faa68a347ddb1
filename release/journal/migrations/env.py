"""How Alembic runs the migrations: in the transaction that `upgrade` was called in."""

from alembic import context

from release.journal.entries import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
context.run_migrations()
