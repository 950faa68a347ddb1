"""The table, and triggers that refuse to change what is in it."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_SQLITE = """
CREATE TRIGGER journal_refuses_{verb} BEFORE {verb} ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only: {verb} is refused'); END
"""
_POSTGRES = (
    """
    CREATE FUNCTION journal_refuses() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION USING MESSAGE = 'the journal is append-only: ' || TG_OP || ' is refused';
    END $$
    """,
    """
    CREATE TRIGGER journal_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON journal
    FOR EACH STATEMENT EXECUTE FUNCTION journal_refuses()
    """,
)


def upgrade() -> None:
    """From an empty database."""
    op.create_table(
        "journal",
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
    connection = op.get_bind()
    is_sqlite = connection.dialect.name == "sqlite"
    for statement in [_SQLITE.format(verb=verb) for verb in ("UPDATE", "DELETE")] if is_sqlite else _POSTGRES:
        connection.exec_driver_sql(statement)
