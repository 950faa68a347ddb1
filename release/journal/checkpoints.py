"""Checkpoints: what the entries up to one of them come to, kept so that a new process need not start from the first.

The entries are the truth. A checkpoint of a view holds little more than ids, and counts only where its digest is right,
where the entry it was made at stands in the journal with the same hash, and where the entries it names are of the kind
it says; otherwise an older one counts, or none, and the log says so. `slate journal verify` compares each with the
entries it was made of.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from contracts.fingerprint import fingerprint_json
from release.journal.checkpoint_schema import STATEMENTS, TABLE
from release.journal.database import Row
from release.journal.entries import Action, Entry, Phase, time_text
from release.journal.moves import Moves
from release.journal.table import EntryTable
from release.journal.view import CHANGES, SIGHTINGS, JournalView, put_in_production

LOG = logging.getLogger(__name__)

# Entries behind the last one before the next is kept. A new process usually reads no more than these, some 20 ms; it
# reads more where a move was told late, where a checkpoint is refused, and where nobody kept one, as older code does.
ENTRIES_PER_CHECKPOINT = 500
ENTRIES_PER_LATE_CHECKPOINT = ENTRIES_PER_CHECKPOINT  # of those written later, on the way to the first one

# Another number for another way to fold: what an earlier one kept then counts no more.
VIEW = "view:2"
CHAIN = "chain"  # the chain of hashes was sound up to this entry, over all applications
ALL_APPS = ""

_LAST_ID = f"SELECT max(entry_id) AS id FROM {TABLE} WHERE kind = :kind AND app = :app"  # noqa: S608 - a name of ours
_ALL_OF_KIND = f"SELECT * FROM {TABLE} WHERE kind = :kind ORDER BY app, entry_id"  # noqa: S608 - a name of ours
_DELETE = f"DELETE FROM {TABLE} WHERE kind = :kind AND app = :app AND entry_id = :entry_id"  # noqa: S608 - a name of ours


@dataclass(frozen=True)
class Checkpoint:
    """A row of the table. latest_ts: the latest time of any entry up to it. content: JSON."""

    kind: str
    app: str
    entry_id: int
    entry_hash: str
    latest_ts: str
    content: str

    @property
    def computed_digest(self) -> str:
        """What shows that a row is not as it was written."""
        return fingerprint_json(asdict(self))

    @property
    def name(self) -> str:
        """What a message calls it."""
        return f"the checkpoint at entry {self.entry_id} ({self.app or self.kind})"

    def to_row(self) -> Row:
        return {**asdict(self), "digest": self.computed_digest}

    @classmethod
    def of_chain(cls, last: Entry) -> Checkpoint:
        """Says that the chain is sound up to this entry."""
        return cls(CHAIN, ALL_APPS, last.id, last.hash, time_text(last.ts), "{}")

    @classmethod
    def of_view(cls, view: JournalView, app: str) -> Checkpoint:
        """Says what the entries up to the view's last one come to; there must be one."""
        if view.last is None or view.latest_ts is None:
            raise ValueError("a view of no entries has no checkpoint")
        content = json.dumps(_content(view), sort_keys=True)
        return cls(VIEW, app, view.last.id, view.last.hash, time_text(view.latest_ts), content)


@dataclass(frozen=True)
class KeptCheckpoint:
    """A checkpoint as it stands in the table, with the digest that stands beside it."""

    checkpoint: Checkpoint
    digest: str

    @property
    def is_as_written(self) -> bool:
        return self.digest == self.checkpoint.computed_digest

    @classmethod
    def from_row(cls, row: Row) -> KeptCheckpoint:
        values = dict(row)
        digest = values.pop("digest")
        return cls(Checkpoint(**values), digest)


@dataclass(frozen=True)
class CheckpointTable:
    """The checkpoints, and the entries that they name. Where there is no table yet, there is no checkpoint."""

    entries: EntryTable

    def add(self, checkpoint: Checkpoint) -> None:
        """Write one, unless there is one of its kind at its entry or behind it; makes the table where there is none."""
        connection = self.entries.connection
        if not connection.has_table(TABLE):
            for statement in STATEMENTS[self.entries.database.kind]:
                connection.execute(statement)
        last_id = connection.rows(_LAST_ID, kind=checkpoint.kind, app=checkpoint.app)[0]["id"]
        if (last_id or 0) < checkpoint.entry_id:
            connection.insert(TABLE, checkpoint.to_row())

    def delete(self, checkpoint: Checkpoint) -> None:
        """Take one out of use."""
        key = {"kind": checkpoint.kind, "app": checkpoint.app, "entry_id": checkpoint.entry_id}
        self.entries.connection.execute(_DELETE, **key)

    def last_sound_entry(self) -> Entry | None:
        """The last entry up to which the chain was found sound; None where there is none, or it is not there now."""
        for _, entry in self._sound(CHAIN, ALL_APPS, None):
            return entry
        return None

    def view(self, app: str, nothing: JournalView, until: datetime | None = None) -> JournalView | None:
        """The view of the newest checkpoint that counts.

        nothing: the view of no entries, which knows where entries are read. until: only of checkpoints with no entry of
        a later time.
        """
        for checkpoint, entry in self._sound(VIEW, app, until):
            try:
                return self._view(checkpoint, entry, nothing)
            except (ValueError, LookupError, TypeError) as error:
                _log_refused(checkpoint, f"its content does not fit the entries ({error})")
        return None

    def all_of(self, kind: str) -> Iterator[KeptCheckpoint]:
        """All of a kind, by application and oldest first."""
        if self.entries.connection.has_table(TABLE):
            yield from map(KeptCheckpoint.from_row, self.entries.connection.rows(_ALL_OF_KIND, kind=kind))

    def _sound(self, kind: str, app: str, until: datetime | None) -> Iterator[tuple[Checkpoint, Entry]]:
        """Those as they were written, of entries that are still there, with these entries; the newest first."""
        for kept in self._newest_first(kind, app, until):
            checkpoint = kept.checkpoint
            entry = self.entries.by_id([checkpoint.entry_id]).get(checkpoint.entry_id)
            if not kept.is_as_written:
                _log_refused(checkpoint, "its digest is not right")
            elif entry is None or entry.hash != checkpoint.entry_hash:
                _log_refused(checkpoint, "its entry is another now")
            else:
                yield checkpoint, entry

    def _newest_first(self, kind: str, app: str, until: datetime | None) -> Iterator[KeptCheckpoint]:
        if not self.entries.connection.has_table(TABLE):
            return
        condition = f"AND latest_ts {self.entries.database.by_bytes} <= :until" if until else ""
        query = (
            f"SELECT * FROM {TABLE} WHERE kind = :kind AND app = :app AND (:before = 0 OR entry_id < :before) "  # noqa: S608 - names of ours
            f"{condition} ORDER BY entry_id DESC LIMIT 1"
        )
        parameters: dict[str, object] = {"kind": kind, "app": app, "before": 0}
        if until:
            parameters["until"] = time_text(until)
        while rows := self.entries.connection.rows(query, **parameters):
            kept = KeptCheckpoint.from_row(rows[0])
            yield kept
            parameters["before"] = kept.checkpoint.entry_id

    def _view(self, checkpoint: Checkpoint, last: Entry, nothing: JournalView) -> JournalView:
        """The view that a checkpoint holds. Raises ValueError, LookupError or TypeError where the entries differ."""
        content = json.loads(checkpoint.content)
        moves = Moves.from_json(content["moves"])
        by_id = self.entries.by_id(_named_ids(content, moves))
        view = replace(
            nothing,
            last=last,
            n_entries=content["n_entries"],
            n_kept=content["n_entries"],
            latest_ts=datetime.fromisoformat(checkpoint.latest_ts),
            production=_entry(by_id, content["production"]),
            staging=_entry(by_id, content["staging"]),
            sighting=_entry(by_id, content["sighting"]),
            intents={number: by_id[number] for number in content["intents"]},
            tokens={_version_of_entry(by_id[number]): by_id[number] for number in content["tokens"]},
            canary_entries=tuple(by_id[number] for number in content["canary"]),
            canary_runs=content["canary_runs"],
            generation_ids=tuple(content["generations"]),
            moves=moves,
        )
        if not _agrees(view, by_id, checkpoint.app):
            raise ValueError("an entry that it names is of another kind")
        return view


def _log_refused(checkpoint: Checkpoint, reason: str) -> None:
    LOG.warning(
        "%s of the journal is not used: %s. Entries count, not it; `slate journal verify --retire` removes it.",
        checkpoint.name.capitalize(),
        reason,
    )


def _content(view: JournalView) -> dict[str, Any]:
    return {
        "n_entries": view.n_entries,
        "production": _id(view.production),
        "staging": _id(view.staging),
        "sighting": _id(view.sighting),
        "intents": list(view.intents),
        "tokens": sorted(entry.id for entry in view.tokens.values()),
        "canary": [entry.id for entry in view.canary_entries],
        "canary_runs": view.canary_runs,
        "generations": list(view.generation_ids),
        "moves": view.moves.to_json(),
    }


def _named_ids(content: Mapping[str, Any], moves: Moves) -> set[int]:
    """The entries that a view holds, and the one that a rollback would go to."""
    ids = {content["production"], content["staging"], content["sighting"]}
    ids |= {*content["intents"], *content["tokens"], *content["canary"]}
    ids |= {moves.trail.latest[release] for release in moves.trail.way[-2:]}
    return ids - {None}


def _agrees(view: JournalView, by_id: Mapping[int, Entry], app: str) -> bool:
    """Whether the entries are of the application, and of the kind that the view takes them for."""
    trail = view.moves.trail
    on_the_way = {release: by_id[trail.latest[release]] for release in trail.way[-2:]}
    return (
        all(entry.app == app for entry in by_id.values())
        and (view.production == (on_the_way[trail.way[-1]] if trail.way else None))
        and all(put_in_production(entry, release) for release, entry in on_the_way.items())
        and (view.staging is None or view.staging.action is Action.STAGE)
        and (view.sighting is None or view.sighting.action in SIGHTINGS)
        and all(entry.phase is Phase.INTENT for entry in view.intents.values())
        and all(entry.action is Action.IDENTIFY for entry in view.tokens.values())
        and all(entry.action in {Action.CANARY, *CHANGES} for entry in view.canary_entries)
    )


def _version_of_entry(entry: Entry) -> int:
    if entry.version is None:
        raise ValueError(f"entry {entry.id} is of no version")
    return entry.version


def _id(entry: Entry | None) -> int | None:
    return entry.id if entry else None


def _entry(by_id: Mapping[int, Entry], number: int | None) -> Entry | None:
    return None if number is None else by_id[number]
