"""A feature reader that also knows what happened in some sessions: evaluation and golden queries, without a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from contracts.features import FeatureReader, History, Person, ReadRows, RecentEvents, Visitor
from contracts.ids import ItemId, SessionId, UserId


@dataclass(frozen=True)
class SessionReader:
    """Reads from another reader, and adds the events of the sessions it was given."""

    reader: FeatureReader
    sessions: Mapping[SessionId, History]

    @property
    def generation_id(self) -> str:
        return self.reader.generation_id

    def read_person(self, user_id: UserId | None, session_id: SessionId | None, now: datetime) -> Person:
        """What the other reader knows of the person, with this session's events."""
        return self.read_people([Visitor(user_id, session_id)], now)[0]

    def read_people(self, visitors: Sequence[Visitor], now: datetime) -> list[Person]:
        """The same of each of them, in their order."""
        people = self.reader.read_people(visitors, now)
        return [self._with_session(visitor, person) for visitor, person in zip(visitors, people, strict=True)]

    def _with_session(self, visitor: Visitor, person: Person) -> Person:
        known = None if visitor.session_id is None else self.sessions.get(visitor.session_id)
        return person if known is None else replace(person, session=RecentEvents.of(known))

    def read_items(self, item_ids: Sequence[ItemId], now: datetime) -> ReadRows:
        """The other reader's rows."""
        return self.reader.read_items(item_ids, now)
