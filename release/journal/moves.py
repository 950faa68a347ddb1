"""The moves of the pointer as the journal tells them: which release is in production, and which one was before it.

They are ordered by their intents, which is the order in which the pointer moved: an intent is noted after the epoch was
read, so after the move before it. Whoever moved the pointer may say so late, when a rollback has gone back already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from release.journal.entries import Action, Entry

# Moves that stay apart from those folded together, so that one told late can still be put where it belongs.
N_RECENT = 64


class LateMove(Exception):
    """A move is told that belongs before those already folded together: only all entries give the right order."""


class Move(NamedTuple):
    """One move. order: the id of its intent; entry_id: the entry that says that it was done."""

    order: int
    entry_id: int
    release_id: str
    is_rollback: bool

    @classmethod
    def of(cls, entry: Entry) -> Move:
        """The move that an entry says was done."""
        return cls(entry.intent_id or entry.id, entry.id, str(entry.release_id), entry.action is Action.ROLLBACK)


@dataclass(frozen=True)
class Trail:
    """Where the moves so far lead.

    way: the release in production last, before it those it replaced, none twice in a row; a rollback takes away what
    it went back from. latest: the entry that served each release last. since: the first entry of the unbroken row that
    kept the release in production there. order: of the last move.
    """

    way: tuple[str, ...] = ()
    latest: Mapping[str, int] = field(default_factory=dict)
    since: int | None = None
    order: int = 0

    def after(self, moves: Iterable[Move]) -> Trail:
        """The trail after more moves, in order."""
        way, latest, since, order = list(self.way), dict(self.latest), self.since, self.order
        for move in moves:
            if way[-1:] != [move.release_id]:
                since = move.entry_id
            _step(way, move)
            latest[move.release_id] = move.entry_id
            order = move.order
        return Trail(tuple(way), latest, since, order)

    def to_json(self) -> dict[str, Any]:
        return {"way": list(self.way), "latest": dict(self.latest), "since": self.since, "order": self.order}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Trail:
        return cls(tuple(value["way"]), dict(value["latest"]), value["since"], value["order"])


@dataclass(frozen=True)
class Moves:
    """All moves: the older ones folded into a trail, the last few one by one, in order."""

    older: Trail = field(default_factory=Trail)
    recent: tuple[Move, ...] = ()

    @cached_property
    def trail(self) -> Trail:
        """Where all of them lead."""
        return self.older.after(self.recent)

    def followed_by(self, moves: Iterable[Move]) -> Moves:
        """With more moves, as they were told. One that is told again stands for what was told of it before.

        Raises LateMove when one belongs before the recent ones.
        """
        added = list(moves)
        if not added:
            return self
        by_order = {move.order: move for move in (*self.recent, *added)}
        if min(by_order) <= self.older.order:
            raise LateMove
        in_order = [by_order[order] for order in sorted(by_order)]
        n_older = max(len(in_order) - N_RECENT, 0)
        if not n_older:
            return Moves(self.older, tuple(in_order))
        return Moves(self.older.after(in_order[:n_older]), tuple(in_order[n_older:]))

    def to_json(self) -> dict[str, Any]:
        return {"older": self.older.to_json(), "recent": [list(move) for move in self.recent]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Moves:
        return cls(Trail.from_json(value["older"]), tuple(Move(*move) for move in value["recent"]))


def _step(way: list[str], move: Move) -> None:
    if move.is_rollback and move.release_id in way:
        while way.pop() != move.release_id:
            pass
    if way[-1:] != [move.release_id]:
        way.append(move.release_id)
