"""A table for what somebody made of the entries up to one of them, so that nobody has to start from the first.

Rows are only added, and only about an entry that stands in the journal as the row says.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_IS_WRONG = """
    NOT EXISTS (SELECT 1 FROM journal WHERE id = NEW.entry_id AND hash = NEW.entry_hash)
    OR EXISTS (
        SELECT 1 FROM journal_checkpoints WHERE kind = NEW.kind AND app = NEW.app AND entry_id = NEW.entry_id
    )
"""
_MESSAGE = "a checkpoint is written once, of an entry that is there"
_SQLITE = (
    *(
        f"""
        CREATE TRIGGER journal_checkpoints_refuse_{verb} BEFORE {verb} ON journal_checkpoints
        BEGIN SELECT RAISE(ABORT, 'checkpoints are append-only: {verb} is refused'); END
        """
        for verb in ("UPDATE", "DELETE")
    ),
    # SQLite's INSERT OR REPLACE deletes the row it replaces without asking a trigger on DELETE.
    f"""
    CREATE TRIGGER journal_checkpoints_refuse_wrong BEFORE INSERT ON journal_checkpoints WHEN {_IS_WRONG}
    BEGIN SELECT RAISE(ABORT, '{_MESSAGE}'); END
    """,
)
_POSTGRES = (
    """
    CREATE FUNCTION journal_checkpoints_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION USING MESSAGE = 'checkpoints are append-only: ' || TG_OP || ' is refused';
    END $$
    """,
    """
    CREATE TRIGGER journal_checkpoints_refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON journal_checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION journal_checkpoints_refuse()
    """,
    f"""
    CREATE FUNCTION journal_checkpoints_refuse_wrong() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF {_IS_WRONG} THEN
            RAISE EXCEPTION USING MESSAGE = '{_MESSAGE}';
        END IF;
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER journal_checkpoints_refuse_wrong BEFORE INSERT ON journal_checkpoints
    FOR EACH ROW EXECUTE FUNCTION journal_checkpoints_refuse_wrong()
    """,
)


def upgrade() -> None:
    """From a journal that is read from its first entry on."""
    op.create_table(
        "journal_checkpoints",
        sa.Column("kind", sa.String, primary_key=True),
        sa.Column("app", sa.String, primary_key=True),
        sa.Column("entry_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("entry_hash", sa.String, nullable=False),
        sa.Column("latest_ts", sa.String, nullable=False),
        sa.Column("content", sa.String, nullable=False),
        sa.Column("digest", sa.String, nullable=False),
    )
    connection = op.get_bind()
    for statement in _SQLITE if connection.dialect.name == "sqlite" else _POSTGRES:
        connection.exec_driver_sql(statement)
