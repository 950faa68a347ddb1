"""The journal: what was asked, decided, switched and written back, when and why. It, not MLflow, tells the past.

A SQL database (SQLite at SLATE_HOME/journal.db) with one table. Entries are only ever appended: triggers refuse
UPDATE and DELETE, and each entry carries the hash of the one before it, so that tampering with the file shows.
A step that changes something appends an `intent` before and a `done` or `failed` after, which names the intent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from contracts.clock import Clock, WallClock
from contracts.errors import ArtefactError, WorkspaceError
from contracts.fingerprint import canonical_json
from contracts.home import Home

FIRST_HASH = "0" * 64  # what the first entry names as the hash before it
BUSY_TIMEOUT_S = 30  # appends are milliseconds apart; this long a lock means a dead disk


class Action(StrEnum):
    """What an entry is about."""

    PROMOTE = "promote"  # the pointer moves to another release
    ROLLBACK = "rollback"  # the pointer moves back to an earlier release
    REBUILD = "rebuild"  # the pointer, lost or strange, is set to what the journal says
    STAGE = "stage"  # a version becomes the release in Staging, or none is (no version)
    CANARY = "canary"  # a share of people gets a candidate; the share was changed, or the canary ended
    REFUSE = "refuse"  # a request was turned down
    REGISTRY_WRITE = "registry_write"  # what is true is written to the registry
    OBSERVE = "observe"  # the registry changed in a way that asks for nothing
    RECORD = "record"  # the commit that gives a release back was made


class Phase(StrEnum):
    """Before, after, or after it went wrong."""

    INTENT = "intent"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class Note:
    """What somebody wants to have written. figures: gates, or the registry's state: anything JSON can say.

    epoch: the pointer's epoch after the step; for an intent, the one it starts from. intent_id: the entry it ends.
    """

    action: Action
    phase: Phase
    release_id: str | None = None
    generation_id: str | None = None
    version: int | None = None
    epoch: int | None = None
    requester: str = "unknown"
    reason: str = ""
    figures: dict[str, Any] = field(default_factory=dict)
    intent_id: int | None = None

    def ended(self, phase: Phase, intent: Entry, **changes: Any) -> Note:
        """The note that ends this intent."""
        return replace(self, phase=phase, intent_id=intent.id, **changes)


@dataclass(frozen=True, kw_only=True)
class Entry(Note):
    """A note as it stands in the journal."""

    id: int
    ts: datetime
    app: str
    previous_hash: str
    hash: str = ""

    @property
    def note(self) -> Note:
        """What was noted, without what the journal put to it."""
        return Note(**{part.name: getattr(self, part.name) for part in fields(Note)})

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "ts": self.ts.isoformat()}

    def computed_hash(self) -> str:
        """The hash that follows from everything else in the entry."""
        content = {name: value for name, value in self.to_json().items() if name != "hash"}
        return hashlib.sha256(canonical_json(content)).hexdigest()


_METADATA = sa.MetaData()
_TABLE = sa.Table(
    "journal",
    _METADATA,
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
_APPEND_ONLY = """
CREATE TRIGGER IF NOT EXISTS journal_refuses_{verb} BEFORE {verb} ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only: {verb} is refused'); END
"""


class Journal:
    """The entries of one application, oldest first, and the one way to add to them.

    clock: stamps the entries. Raises WorkspaceError where the database cannot be opened or written.
    """

    def __init__(self, home: Home, app: str, clock: Clock | None = None) -> None:
        self._path = home.journal_database
        self._app = app
        self._clock = clock or WallClock()
        home.root.mkdir(parents=True, exist_ok=True)
        self._engine = _open(f"sqlite:///{self._path}")
        with self._writing() as connection:
            _METADATA.create_all(connection)
            for verb in ("UPDATE", "DELETE"):
                connection.exec_driver_sql(_APPEND_ONLY.format(verb=verb))

    def append(self, note: Note) -> Entry:
        """Write one entry behind the last, and return it with its id, time and hash."""
        with self._writing() as connection:
            last = connection.execute(sa.select(_TABLE).order_by(_TABLE.c.id.desc()).limit(1)).first()
            entry = Entry(
                **{part.name: getattr(note, part.name) for part in fields(Note)},
                id=last.id + 1 if last else 1,
                ts=self._clock.now(),
                app=self._app,
                previous_hash=last.hash if last else FIRST_HASH,
            )
            entry = replace(entry, hash=entry.computed_hash())
            connection.execute(_TABLE.insert().values(_to_row(entry)))
        return entry

    def entries(self) -> list[Entry]:
        """All entries of this application, oldest first."""
        return self._read(sa.select(_TABLE).where(_TABLE.c.app == self._app).order_by(_TABLE.c.id))

    def verify(self) -> int:
        """Check the chain of hashes over every application, and return the number of entries.

        Raises ArtefactError naming the first entry that was changed, or after which some are missing.
        """
        previous = FIRST_HASH
        entries = self._read(sa.select(_TABLE).order_by(_TABLE.c.id))
        for number, entry in enumerate(entries, start=1):
            if (entry.id, entry.previous_hash, entry.hash) != (number, previous, entry.computed_hash()):
                raise ArtefactError(
                    f"{self._path}: entry {entry.id} does not follow from the one before it; the journal was changed.",
                    "Restore the file from a backup; the entries before this one are sound.",
                )
            previous = entry.hash
        return len(entries)

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def _read(self, query: sa.Select[Any]) -> list[Entry]:
        with self._engine.connect() as connection:
            return [_from_row(row) for row in connection.execute(query).mappings()]

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except sa.exc.OperationalError as error:
            raise WorkspaceError(
                f"The journal {self._path} cannot be written: {error.orig}",
                "Free disk space, mend the permissions, or end the process that holds it.",
            ) from error


def _open(url: str) -> sa.Engine:
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S}, poolclass=sa.NullPool)
    # SQLite's driver would begin late, after the last entry was read: two writers could then follow the same entry.
    sa.event.listen(engine, "connect", _leave_transactions_to_us)
    sa.event.listen(engine, "begin", _begin_immediate)
    return engine


def _leave_transactions_to_us(connection: Any, _record: Any) -> None:
    connection.isolation_level = None


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _to_row(entry: Entry) -> dict[str, Any]:
    return {**entry.to_json(), "figures": json.dumps(entry.figures, sort_keys=True)}


def _from_row(row: sa.RowMapping) -> Entry:
    values: dict[str, Any] = {str(name): value for name, value in row.items()}
    values["action"] = Action(values["action"])
    values["phase"] = Phase(values["phase"])
    values["ts"] = datetime.fromisoformat(values["ts"])
    values["figures"] = json.loads(values["figures"])
    return Entry(**values)
