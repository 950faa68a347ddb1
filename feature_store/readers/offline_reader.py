"""Reads features from tables in memory: evaluation, batch answers, golden queries. Agrees with the online reader."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from contracts.features import FeatureSchema, Person, ReadRows, RecentEvents, Visitor
from contracts.id_map import UNKNOWN, IdMap
from contracts.ids import ItemId, SessionId, UserId
from feature_store.online.packing import epoch_seconds
from feature_store.readers.ttl_and_defaults import default_rows, unknown_person, usable_rows
from feature_store.values.histories import EventsByPerson
from feature_store.values.values import FeatureSchemas, FeatureValues


class OfflineFeatureReader:
    """Reads one generation's values; sessions and recent events are empty, for nobody is clicking.

    item_ids: the map of the release that reads; raises ReleaseMismatch when a history holds an item it does not know.
    generation_id: where the values are a part of a generation; None: they are the whole of it.
    """

    def __init__(
        self, values: FeatureValues, schemas: FeatureSchemas, item_ids: IdMap, generation_id: str | None = None
    ) -> None:
        self._generation_id = values.generation_id if generation_id is None else generation_id
        self._written = epoch_seconds(values.as_of)
        self._users = _Rows(values, schemas.user)
        self._items = _Rows(values, schemas.item)
        self._histories = EventsByPerson(values.histories, item_ids)

    @property
    def generation_id(self) -> str:
        return self._generation_id

    def read_person(self, user_id: UserId | None, session_id: SessionId | None, now: datetime) -> Person:
        """One person's features and history; defaults and empty where nothing is known."""
        return self.read_people([Visitor(user_id, session_id)], now)[0]

    def read_people(self, visitors: Sequence[Visitor], now: datetime) -> list[Person]:
        """The same of each of them, in their order."""
        rows = self._users.read([visitor.user_id or "" for visitor in visitors], self._written, now)
        return [self._person(visitor.user_id, rows.row(at)) for at, visitor in enumerate(visitors)]

    def _person(self, user_id: UserId | None, features: ReadRows) -> Person:
        if user_id is None:
            return unknown_person(self._users.schema)
        history, older = self._histories.of(user_id), self._histories.older_of(user_id)
        return Person(features, history, RecentEvents.empty(), RecentEvents.empty(), older=older)

    def read_items(self, item_ids: Sequence[ItemId], now: datetime) -> ReadRows:
        """The items' feature rows in the order asked; a row of defaults where an item has none."""
        return self._items.read(item_ids, self._written, now)


class _Rows:
    """The rows of one entity, by id. The last row of the matrix, all missing, is that of unknown ids (index -1)."""

    def __init__(self, values: FeatureValues, schema: FeatureSchema) -> None:
        self.schema = schema
        nobody = np.full((1, len(schema.features)), np.nan, dtype=np.float32)
        self._matrix = np.concatenate([values.matrix(schema), nobody])
        self._position = {entity_id: position for position, entity_id in enumerate(values.ids(schema.entity))}

    def read(self, ids: Sequence[str], written: int, now: datetime) -> ReadRows:
        if not ids:
            return default_rows(self.schema, 0)
        positions = np.array([self._position.get(entity_id, UNKNOWN) for entity_id in ids])
        moments = np.full(len(ids), written, dtype=np.int64)
        return usable_rows(self.schema, self._matrix[positions], moments, positions != UNKNOWN, now)
