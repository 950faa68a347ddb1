"""Reads features from the online store, for the request path."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast

import redis

from contracts.errors import StoreError
from contracts.features import History, Person, ReadRows
from contracts.id_map import IdMap
from contracts.ids import ItemId, SessionId, UserId
from feature_store.online.connection import mapped_errors
from feature_store.online.keys import (
    FORMAT_VERSION,
    first_format_receipt_key,
    histories_key,
    items_key,
    receipt_key,
    recent_key,
    session_key,
    users_key,
)
from feature_store.online.packing import unpack_history, unpack_rows
from feature_store.online.recent_events import unpack_events
from feature_store.readers.ttl_and_defaults import default_rows, unknown_person, usable_rows
from feature_store.values.values import FeatureSchemas


@dataclass(frozen=True)
class _Firsts:
    """The first id of each bucket, in order."""

    users: list[str]
    histories: list[str]


class RedisFeatureReader:
    """Reads one generation of one application from Redis; one round trip per call.

    The first call that asks for a person also reads where each bucket of people begins.

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
        self._firsts: _Firsts | None = None

    @property
    def generation_id(self) -> str:
        return self._generation_id

    def read_person(self, user_id: UserId | None, session_id: SessionId | None, now: datetime) -> Person:
        """One person's features, history, session and recent events; defaults and empty where nothing is known."""
        person = unknown_person(self._schemas.user)
        with mapped_errors(), self._client.pipeline(transaction=False) as pipeline:
            if user_id is not None:
                firsts = self._known_firsts()
                pipeline.hget(self._key_of(users_key, firsts.users, user_id), user_id)
                pipeline.hget(self._key_of(histories_key, firsts.histories, user_id), user_id)
                pipeline.lrange(recent_key(self._app, user_id), 0, -1)
            if session_id is not None:
                pipeline.lrange(session_key(self._app, session_id), 0, -1)
            answers = pipeline.execute()
        if session_id is not None:
            person = replace(person, session=unpack_events(answers.pop(), self._item_ids))
        if user_id is not None:
            row, history, recent = answers
            person = replace(
                person,
                features=self._user_rows(row, now),
                history=self._history(history),
                recent=unpack_events(recent, self._item_ids),
            )
        return person

    def read_items(self, item_ids: Sequence[ItemId], now: datetime) -> ReadRows:
        """The items' feature rows in the order asked; a row of defaults where an item has none."""
        if not item_ids:
            return default_rows(self._schemas.item, 0)
        with mapped_errors():
            answers = self._client.hmget(items_key(self._app, self._generation_id), list(item_ids))
        rows = unpack_rows(cast("list[bytes | None]", answers), self._schemas.item)
        return usable_rows(self._schemas.item, rows.values, rows.written, rows.known, now)

    def _known_firsts(self) -> _Firsts:
        """Where each bucket begins; kept once the generation is wholly there."""
        if self._firsts is None:
            firsts, is_whole = self._read_firsts()
            if not is_whole:
                return firsts
            self._firsts = firsts
        return self._firsts

    def _read_firsts(self) -> tuple[_Firsts, bool]:
        app, generation_id = self._app, self._generation_id
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.get(users_key(app, generation_id))
            pipeline.get(histories_key(app, generation_id))
            pipeline.exists(receipt_key(app, generation_id))
            pipeline.exists(first_format_receipt_key(app, generation_id))
            users, histories, is_whole, is_of_first_format = pipeline.execute()
        if is_of_first_format and not is_whole:
            raise StoreError(
                f"Generation {generation_id} was published in format 1; this Slatework reads {FORMAT_VERSION}.",
                "Publish it again with `dvc repro publish`.",
            )
        return _Firsts(_parsed_firsts(users), _parsed_firsts(histories)), bool(is_whole)

    def _key_of(self, key: Callable[[str, str, int], str], firsts: list[str], user_id: UserId) -> str:
        return key(self._app, self._generation_id, max(bisect_right(firsts, user_id) - 1, 0))

    def _user_rows(self, packed: bytes | None, now: datetime) -> ReadRows:
        rows = unpack_rows([packed], self._schemas.user)
        return usable_rows(self._schemas.user, rows.values, rows.written, rows.known, now)

    def _history(self, packed: bytes | None) -> History:
        return History.empty() if packed is None else unpack_history(packed, self._id_map_fingerprint)


def _parsed_firsts(content: bytes | None) -> list[str]:
    if content is None:
        return []
    try:
        firsts = json.loads(content)
        if isinstance(firsts, list) and all(isinstance(first, str) for first in firsts):
            return firsts
    except ValueError:
        pass  # raised below, as for a list of something else
    raise StoreError(
        f"The list of where the buckets of people begin is damaged: {content[:80]!r}.",
        "Publish again with `dvc repro publish`; it mends what differs.",
    )
