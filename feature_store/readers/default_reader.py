"""Reads nothing: what is left for the request path when the online store is away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from contracts.features import Person, ReadRows, ReadsPeopleInTurn
from contracts.ids import ItemId, SessionId, UserId
from feature_store.readers.ttl_and_defaults import default_rows, unknown_person
from feature_store.values.values import FeatureSchemas


@dataclass(frozen=True)
class DefaultFeatureReader(ReadsPeopleInTurn):
    """Knows nobody and nothing: what degraded answers stand on when the store is away."""

    generation_id: str
    schemas: FeatureSchemas

    def read_person(self, user_id: UserId | None, session_id: SessionId | None, now: datetime) -> Person:  # noqa: ARG002 - the reader's contract
        """Defaults, no history, no events."""
        return unknown_person(self.schemas.user)

    def read_items(self, item_ids: Sequence[ItemId], now: datetime) -> ReadRows:  # noqa: ARG002 - the reader's contract
        """A row of defaults per item."""
        return default_rows(self.schemas.item, len(item_ids))
