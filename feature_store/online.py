"""Reads features from the online store, for the request path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import cast

import redis

from contracts.features import FeatureRows, History, Person
from contracts.id_map import IdMap
from contracts.ids import ItemId, SessionId, UserId
from feature_store.connection import mapped_errors
from feature_store.default_reader import DefaultFeatureReader
from feature_store.keys import history_key, item_key, session_key, user_key
from feature_store.packing import unpack_history, unpack_rows
from feature_store.rows import default_rows, unknown_person, usable_rows
from feature_store.sessions import unpack_session
from feature_store.values import FeatureSchemas

__all__ = ["DefaultFeatureReader", "RedisFeatureReader"]


class RedisFeatureReader:
    """Reads one generation of one application from Redis; one round trip per call.

    client: answers bytes (see `connection.connect`); its timeouts are the deadline of a call.
    item_ids: the map of the release that reads.
    """

    def __init__(
        self, client: redis.Redis, app: str, generation_id: str, schemas: FeatureSchemas, item_ids: IdMap
    ) -> None:
        self._client = client
        self._app = app
        self._generation_id = generation_id
        self._schemas = schemas
        self._item_ids = item_ids
        self._id_map_fingerprint = item_ids.fingerprint

    @property
    def generation_id(self) -> str:
        return self._generation_id

    def read_person(self, user_id: UserId | None, session_id: SessionId | None, now: datetime) -> Person:
        """One person's features, history and session; defaults and empty where nothing is known."""
        person = unknown_person(self._schemas.user)
        with mapped_errors(), self._client.pipeline(transaction=False) as pipeline:
            if user_id is not None:
                pipeline.mget(self._user_keys(user_id))
            if session_id is not None:
                pipeline.lrange(session_key(self._app, session_id), 0, -1)
            answers = pipeline.execute()
        if session_id is not None:
            person = replace(person, session=unpack_session(answers.pop(), self._item_ids))
        if user_id is not None:
            row, history = answers.pop()
            person = replace(person, features=self._user_rows(row, now), history=self._history(history))
        return person

    def read_items(self, item_ids: Sequence[ItemId], now: datetime) -> FeatureRows:
        """The items' feature rows in the order asked; a row of defaults where an item has none."""
        if not item_ids:
            return default_rows(self._schemas.item, 0)
        with mapped_errors():
            answers = self._client.mget([item_key(self._app, self._generation_id, item_id) for item_id in item_ids])
        rows = unpack_rows(cast("list[bytes | None]", answers), self._schemas.item)
        return usable_rows(self._schemas.item, rows.values, rows.written, rows.known, now)

    def _user_keys(self, user_id: UserId) -> list[str]:
        return [
            user_key(self._app, self._generation_id, user_id),
            history_key(self._app, self._generation_id, user_id),
        ]

    def _user_rows(self, packed: bytes | None, now: datetime) -> FeatureRows:
        rows = unpack_rows([packed], self._schemas.user)
        return usable_rows(self._schemas.user, rows.values, rows.written, rows.known, now)

    def _history(self, packed: bytes | None) -> History:
        return History.empty() if packed is None else unpack_history(packed, self._id_map_fingerprint)
