"""The table of checkpoints. Its number is part of its name, and the journal's own schema version says nothing of it.

So code of an older release opens the journal, and code of a newer one, with a table of another number, disturbs nobody.
Whoever writes the first checkpoint makes the table; where there is none, there is no checkpoint.
"""

from __future__ import annotations

TABLE = "journal_checkpoints_2"  # 1 was `journal_checkpoints`, of schema 0003

_COLUMNS = f"""
CREATE TABLE {TABLE} (
    kind VARCHAR NOT NULL,
    app VARCHAR NOT NULL,
    entry_id INTEGER NOT NULL,
    entry_hash VARCHAR NOT NULL,
    latest_ts VARCHAR NOT NULL,
    content VARCHAR NOT NULL,
    digest VARCHAR NOT NULL,
    PRIMARY KEY (kind, app, entry_id)
)
"""
_IS_WRONG = f"""
    NOT EXISTS (SELECT 1 FROM journal WHERE id = NEW.entry_id AND hash = NEW.entry_hash)
    OR EXISTS (SELECT 1 FROM {TABLE} WHERE kind = NEW.kind AND app = NEW.app AND entry_id = NEW.entry_id)
"""  # noqa: S608 - a name of ours
_CHANGED = "a checkpoint is never changed"
_WRONG = "a checkpoint is written once, of an entry that is there"

# A checkpoint may be deleted: that costs time, and says nothing wrong.
STATEMENTS = {
    "sqlite": (
        _COLUMNS,
        f"""
        CREATE TRIGGER {TABLE}_refuse_change BEFORE UPDATE ON {TABLE}
        BEGIN SELECT RAISE(ABORT, '{_CHANGED}'); END
        """,
        f"""
        CREATE TRIGGER {TABLE}_refuse_wrong BEFORE INSERT ON {TABLE} WHEN {_IS_WRONG}
        BEGIN SELECT RAISE(ABORT, '{_WRONG}'); END
        """,
    ),
    "postgres": (
        _COLUMNS,
        f"""
        CREATE OR REPLACE FUNCTION {TABLE}_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE EXCEPTION USING MESSAGE = '{_CHANGED}';
        END $$
        """,
        f"""
        CREATE TRIGGER {TABLE}_refuse_change BEFORE UPDATE ON {TABLE}
        FOR EACH STATEMENT EXECUTE FUNCTION {TABLE}_refuse_change()
        """,
        f"""
        CREATE OR REPLACE FUNCTION {TABLE}_refuse_wrong() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF {_IS_WRONG} THEN
                RAISE EXCEPTION USING MESSAGE = '{_WRONG}';
            END IF;
            RETURN NEW;
        END $$
        """,
        f"""
        CREATE TRIGGER {TABLE}_refuse_wrong BEFORE INSERT ON {TABLE}
        FOR EACH ROW EXECUTE FUNCTION {TABLE}_refuse_wrong()
        """,
    ),
}
