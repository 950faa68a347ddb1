"""An entry is taken only behind the last one.

SQLite's INSERT OR REPLACE deletes the row it replaces without asking a trigger on DELETE.
"""

from alembic import op

revision = "0002"
down_revision = "0001"

_NEXT_ID = "(SELECT coalesce(max(id), 0) + 1 FROM journal)"
_BEFORE_THE_FIRST = "0" * 64
_LAST_HASH = f"coalesce((SELECT hash FROM journal ORDER BY id DESC LIMIT 1), '{_BEFORE_THE_FIRST}')"  # noqa: S608
_MESSAGE = "the journal is append-only: an entry follows the last one"
_SQLITE = (
    f"""
    CREATE TRIGGER journal_refuses_elsewhere BEFORE INSERT ON journal
    WHEN NEW.id IS NOT {_NEXT_ID} OR NEW.previous_hash IS NOT {_LAST_HASH}
    BEGIN SELECT RAISE(ABORT, '{_MESSAGE}'); END
    """,
)
_POSTGRES = (
    f"""
    CREATE FUNCTION journal_refuses_elsewhere() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.id <> {_NEXT_ID} OR NEW.previous_hash <> {_LAST_HASH} THEN
            RAISE EXCEPTION USING MESSAGE = '{_MESSAGE}';
        END IF;
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER journal_refuses_elsewhere BEFORE INSERT ON journal
    FOR EACH ROW EXECUTE FUNCTION journal_refuses_elsewhere()
    """,
)


def upgrade() -> None:
    """From a table that took an entry anywhere."""
    connection = op.get_bind()
    for statement in _SQLITE if connection.dialect.name == "sqlite" else _POSTGRES:
        connection.exec_driver_sql(statement)
