"""What stands in the journal: notes, and the entries they become. Reading one needs no database library.

A step that changes something appends an `intent` before and a `done` or `failed` after, which names the intent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from contracts.fingerprint import canonical_json

FIRST_HASH = "0" * 64  # what the first entry names as the hash before it
URL_VARIABLE = "SLATE_JOURNAL_URL"  # where set, the journal is in that database and not in the file
SCHEMA_VERSIONS = ("0001", "0002")  # a file each in migrations/versions, oldest first
RETIRED_VERSION = "0003"  # it added checkpoints, and shut out the code of older releases; never taken again
VERSION_TABLE = "journal_version"  # a name of its own: the database may be shared with MLflow or Airflow


def time_text(moment: datetime) -> str:
    """A moment as an entry is given it; such texts are in the order of their times."""
    return moment.astimezone(UTC).isoformat()


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


class CanaryStep(StrEnum):
    """What an entry about a canary did; it stands in the entry's figures."""

    START = "start"
    SHARE = "share"
    END = "end"
    RESTORE = "restore"  # the store had lost it


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

    @classmethod
    def behind(cls, last: tuple[int, str] | None, note: Note, ts: datetime, app: str) -> Entry:
        """The entry that a note becomes behind the last one. last: its id and hash; None where there is none yet.

        ts: in any zone; the entry has it in UTC.
        """
        last_id, last_hash = last or (0, FIRST_HASH)
        noted = {part.name: getattr(note, part.name) for part in fields(Note)}
        ts = datetime.fromisoformat(time_text(ts))
        entry = cls(**noted, id=last_id + 1, ts=ts, app=app, previous_hash=last_hash)
        return replace(entry, hash=entry.computed_hash())

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Entry:
        """The entry in a row of the database; raises ValueError where it cannot be understood."""
        values = dict(row)
        values["action"] = Action(values["action"])
        values["phase"] = Phase(values["phase"])
        values["ts"] = datetime.fromisoformat(values["ts"])
        values["figures"] = json.loads(values["figures"])
        return cls(**values)

    def to_row(self) -> dict[str, Any]:
        """The entry as a row of the database."""
        return {**self.to_json(), "figures": json.dumps(self.figures, sort_keys=True)}
