"""A feature reader that also knows what happened in some sessions: evaluation and golden queries, without a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from contracts.features import FeatureReader, History, Person, ReadRows, ReadsPeopleInTurn, RecentEvents
from contracts.ids import ItemId, SessionId, UserId


@dataclass(frozen=True)
class SessionReader(ReadsPeopleInTurn):
    """Reads from another reader, and adds the events of the sessions it was given."""

    reader: FeatureReader
    sessions: Mapping[SessionId, History]

    @property
    def generation_id(self) -> str:
        return self.reader.generation_id

    def read_person(self, user_id: UserId | None, session_id: SessionId | None, now: datetime) -> Person:
        """What the other reader knows of the person, with this session's events."""
        person = self.reader.read_person(user_id, session_id, now)
        known = None if session_id is None else self.sessions.get(session_id)
        return person if known is None else replace(person, session=RecentEvents.of(known))

    def read_items(self, item_ids: Sequence[ItemId], now: datetime) -> ReadRows:
        """The other reader's rows."""
        return self.reader.read_items(item_ids, now)
