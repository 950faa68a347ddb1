"""Checkpoints: what the entries up to one of them come to, kept so that a new process need not start from the first.

The entries are the truth. A checkpoint of a view holds little more than ids, and counts only where its digest is right,
where the entry it was made at stands in the journal with the same hash, and where the entries it names are of the kind
it says; otherwise an older one counts, or none. `slate journal verify` compares each with the entries it was made of.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from contracts.fingerprint import fingerprint_json
from release.journal.database import Row
from release.journal.entries import Action, Entry, Phase
from release.journal.moves import Moves
from release.journal.table import EntryTable, time_text
from release.journal.view import CHANGES, SIGHTINGS, JournalView

EVERY = 500  # entries folded before the next one is kept: what a new process reads at most, some 20 ms

# Another number for another way to fold: what an earlier one kept then counts no more.
VIEW = "view:1"
CHAIN = "chain"  # the chain of hashes was sound up to this entry, over all applications
ALL_APPS = ""

_TABLE = "journal_checkpoints"


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
    def digest(self) -> str:
        """What shows that a row is not as it was written."""
        return fingerprint_json(asdict(self))

    def to_row(self) -> Row:
        return {**asdict(self), "digest": self.digest}

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
class CheckpointTable:
    """The checkpoints, and the entries that they name."""

    entries: EntryTable

    def add(self, checkpoint: Checkpoint) -> None:
        """Write one, unless there is one of its kind at its entry or a later one."""
        query = f"SELECT max(entry_id) AS id FROM {_TABLE} WHERE kind = :kind AND app = :app"  # noqa: S608 - a name of ours
        last = self._rows(query, kind=checkpoint.kind, app=checkpoint.app)[0]["id"]
        if (last or 0) < checkpoint.entry_id:
            self.entries.connection.insert(_TABLE, checkpoint.to_row())

    def last_sound_entry(self) -> Entry | None:
        """The last entry up to which the chain was found sound; None where there is none, or it is not there now."""
        for _, entry in self._sound(CHAIN, ALL_APPS, None):
            return entry
        return None

    def view(self, app: str, read_entry: Callable[[int], Entry], until: datetime | None = None) -> JournalView | None:
        """The view of the newest checkpoint that counts; until: of those with no entry of a later time."""
        for checkpoint, entry in self._sound(VIEW, app, until):
            view = self._view(checkpoint, entry, read_entry)
            if view is not None:
                return view
        return None

    def of_views(self) -> Iterator[Checkpoint]:
        """All of views, by application and oldest first."""
        query = f"SELECT * FROM {_TABLE} WHERE kind = :kind ORDER BY app, entry_id"  # noqa: S608 - a name of ours
        for row in self._rows(query, kind=VIEW):
            yield _checkpoint(row)

    def _sound(self, kind: str, app: str, until: datetime | None) -> Iterator[tuple[Checkpoint, Entry]]:
        """Those as they were written, of entries that are still there, with these entries; the newest first."""
        condition = f"AND latest_ts {self.entries.database.by_bytes} <= :until" if until else ""
        query = (
            f"SELECT * FROM {_TABLE} WHERE kind = :kind AND app = :app AND (:before = 0 OR entry_id < :before) "  # noqa: S608 - names of ours
            f"{condition} ORDER BY entry_id DESC LIMIT 1"
        )
        parameters: dict[str, object] = {"until": time_text(until)} if until else {}
        before = 0
        while rows := self._rows(query, kind=kind, app=app, before=before, **parameters):
            checkpoint = _checkpoint(rows[0])
            entry = self.entries.by_id([checkpoint.entry_id]).get(checkpoint.entry_id)
            if rows[0]["digest"] == checkpoint.digest and entry and entry.hash == checkpoint.entry_hash:
                yield checkpoint, entry
            before = checkpoint.entry_id

    def _view(self, checkpoint: Checkpoint, last: Entry, read_entry: Callable[[int], Entry]) -> JournalView | None:
        """The view that a checkpoint holds; None where the entries say otherwise."""
        try:
            content = json.loads(checkpoint.content)
            moves = Moves.from_json(content["moves"])
            by_id = self.entries.by_id(_named_ids(content, moves))
            view = JournalView(
                last=last,
                n_entries=content["n_entries"],
                n_kept=content["n_entries"],
                latest_ts=datetime.fromisoformat(checkpoint.latest_ts),
                production=_entry(by_id, content["production"]),
                staging=_entry(by_id, content["staging"]),
                sighting=_entry(by_id, content["sighting"]),
                intents={number: by_id[number] for number in content["intents"]},
                tokens={int(by_id[number].version or 0): by_id[number] for number in content["tokens"]},
                canary_entries=tuple(by_id[number] for number in content["canary"]),
                canary_runs=content["canary_runs"],
                generation_ids=tuple(content["generations"]),
                moves=moves,
                read_entry=read_entry,
            )
            return view if _agrees(view, by_id, checkpoint.app) else None
        except (ValueError, LookupError, TypeError):
            return None

    def _rows(self, query: str, **parameters: object) -> list[Row]:
        return self.entries.connection.rows(query, **parameters)


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
        and all(_put_in_production(entry, release) for release, entry in on_the_way.items())
        and (view.staging is None or view.staging.action is Action.STAGE)
        and (view.sighting is None or view.sighting.action in SIGHTINGS)
        and all(entry.phase is Phase.INTENT for entry in view.intents.values())
        and all(entry.action is Action.IDENTIFY for entry in view.tokens.values())
        and all(entry.action in {Action.CANARY, *CHANGES} for entry in view.canary_entries)
    )


def _put_in_production(entry: Entry, release_id: str) -> bool:
    return entry.action in CHANGES and entry.phase is Phase.DONE and entry.release_id == release_id


def _checkpoint(row: Row) -> Checkpoint:
    return Checkpoint(**{name: value for name, value in row.items() if name != "digest"})


def _id(entry: Entry | None) -> int | None:
    return entry.id if entry else None


def _entry(by_id: Mapping[int, Entry], number: int | None) -> Entry | None:
    return None if number is None else by_id[number]
