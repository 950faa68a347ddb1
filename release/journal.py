"""The journal: what was asked, decided, switched and written back, when and why. It, not MLflow, tells the past.

A SQL database with one table. Entries are only ever appended: triggers refuse anything else, and each entry carries the
hash of the one before it, so that tampering shows.
A step that changes something appends an `intent` before and a `done` or `failed` after, which names the intent.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from contracts.clock import Clock, WallClock
from contracts.errors import ArtefactError
from contracts.fingerprint import canonical_json
from contracts.home import Home
from release.journal_database import JournalDatabase

FIRST_HASH = "0" * 64  # what the first entry names as the hash before it


class Action(StrEnum):
    """What an entry is about."""

    PROMOTE = "promote"  # the pointer moves to another release
    ROLLBACK = "rollback"  # the pointer moves back to an earlier release
    REFRESH = "refresh"  # the pointer moves to fresher feature values of the same release
    REBUILD = "rebuild"  # the pointer, lost or strange, is set to what the journal says
    STAGE = "stage"  # a version becomes the release in Staging, or none is (no version)
    CANARY = "canary"  # a share of people gets a candidate; the share was changed, or the canary ended
    REFUSE = "refuse"  # a request was turned down
    REGISTRY_WRITE = "registry_write"  # what is true is written to the registry
    IDENTIFY = "identify"  # somebody showed a token on a version in the registry
    OBSERVE = "observe"  # the registry changed in a way that asks for nothing
    RECORD = "record"  # the commit that gives a release back was made
    COLLECT = "collect"  # old generations were removed from the store


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

    @property
    def head(self) -> str:
        """What somebody keeps elsewhere to know this entry, and with it all before it, again."""
        return f"{self.id}:{self.hash}"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "ts": self.ts.isoformat()}

    def computed_hash(self) -> str:
        """The hash that follows from everything else in the entry."""
        content = {name: value for name, value in self.to_json().items() if name != "hash"}
        return hashlib.sha256(canonical_json(content)).hexdigest()


_TABLE = sa.table("journal", *(sa.column(part.name) for part in fields(Entry)))


class Journal:
    """The entries of one application, oldest first, and the one way to add to them.

    clock: stamps the entries. Every call raises WorkspaceError where the database cannot be reached, read or written.
    """

    def __init__(self, home: Home, app: str, clock: Clock | None = None) -> None:
        self._database = JournalDatabase(home)
        self._app = app
        self._clock = clock or WallClock()

    def append(self, note: Note) -> Entry:
        """Write one entry behind the last, and return it with its id, time and hash."""
        with self._database.writing() as connection:
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

    def verify(self, head: str | None = None) -> int:
        """Check the chain of hashes over every application, and return the number of entries.

        head: of an entry that must be there, as it was kept elsewhere; without one, entries cut off at the end do not
        show. Raises ArtefactError naming the first entry that was changed, or after which some are missing.
        """
        previous = FIRST_HASH
        entries = self._read(sa.select(_TABLE).order_by(_TABLE.c.id))
        for number, entry in enumerate(entries, start=1):
            if (entry.id, entry.previous_hash, entry.hash) != (number, previous, entry.computed_hash()):
                raise self._changed(f"entry {entry.id} does not follow from the one before it")
            previous = entry.hash
        if head is not None and head not in {entry.head for entry in entries}:
            raise self._changed(f"entry {head.partition(':')[0]} is not the one that was kept elsewhere, or is cut off")
        return len(entries)

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def _read(self, query: sa.Select[Any]) -> list[Entry]:
        with self._database.reading() as connection:
            rows = connection.execute(query).mappings().all()
        return [self._entry(row) for row in rows]

    def _entry(self, row: sa.RowMapping) -> Entry:
        try:
            return _from_row(row)
        except ValueError as error:
            raise self._changed(f"entry {row['id']} cannot be understood ({error})") from error

    def _changed(self, found: str) -> ArtefactError:
        return ArtefactError(
            f"{self._database.address}: {found}; the journal was changed, or written by a newer Slatework.",
            "Restore it from a backup (the entries before this one are sound), or bring this checkout up to date.",
        )


def _to_row(entry: Entry) -> dict[str, Any]:
    return {**entry.to_json(), "figures": json.dumps(entry.figures, sort_keys=True)}


def _from_row(row: sa.RowMapping) -> Entry:
    values: dict[str, Any] = {str(name): value for name, value in row.items()}
    values["action"] = Action(values["action"])
    values["phase"] = Phase(values["phase"])
    values["ts"] = datetime.fromisoformat(values["ts"])
    values["figures"] = json.loads(values["figures"])
    return Entry(**values)
