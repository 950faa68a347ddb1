"""Reads features from the online store, for the request path."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast

import redis

from contracts.errors import StoreError
from contracts.features import History, OlderEvents, Person, ReadRows
from contracts.id_map import IdMap
from contracts.ids import ItemId, SessionId, UserId
from feature_store.online.connection import mapped_errors
from feature_store.online.damage import note_damage
from feature_store.online.keys import (
    FORMAT_VERSION,
    bucket_count,
    bucket_length,
    first_format_receipt_key,
    histories_key,
    items_key,
    receipt_key,
    recent_key,
    session_key,
    users_key,
)
from feature_store.online.packing import UnpackedRows, key_hashes, unpack_history, unpack_older_events, unpack_rows
from feature_store.online.receipt import parse_receipt
from feature_store.online.recent_events import unpack_events
from feature_store.readers.ttl_and_defaults import default_rows, unknown_person, usable_rows
from feature_store.values.values import FeatureSchemas


@dataclass(frozen=True)
class _People:
    """Where people of one kind of value (rows, or histories) are. firsts: the first id of each bucket, in order.

    n_people: how many the receipt says there are, None without one.
    """

    key: Callable[[str, str, int], str]
    firsts: list[str]
    n_people: int | None

    @property
    def is_whole(self) -> bool:
        """Whether the list of buckets is what the receipt says."""
        return self.n_people is not None and len(self.firsts) == bucket_count(self.n_people)

    def bucket_of(self, user_id: UserId) -> int:
        return max(bisect_right(self.firsts, user_id) - 1, 0)

    def is_full(self, user_id: UserId, length: int) -> bool:
        """Whether the bucket of this person, of this length, holds everybody who was published."""
        return self.is_whole and length >= bucket_length(self.n_people or 0, self.bucket_of(user_id))


class RedisFeatureReader:
    """Reads one generation of one application from Redis; one round trip per call.

    The first call that asks for a person also reads where each bucket of people begins. What was published and is not
    there, or is damaged, is counted in `n_lost`: a bucket must be as full as the receipt says, and every item of the
    release must have its row.

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
        self._people: tuple[_People, _People] | None = None

    @property
    def generation_id(self) -> str:
        return self._generation_id

    def read_person(self, user_id: UserId | None, session_id: SessionId | None, now: datetime) -> Person:
        """One person's features, history, session and recent events; defaults and empty where nothing is known."""
        person = unknown_person(self._schemas.user)
        with mapped_errors(), self._client.pipeline(transaction=False) as pipeline:
            people = () if user_id is None else self._known_people()
            for kind in people:
                bucket = kind.key(self._app, self._generation_id, kind.bucket_of(cast("UserId", user_id)))
                pipeline.hget(bucket, str(user_id))
                pipeline.hlen(bucket)
            if user_id is not None:
                pipeline.lrange(recent_key(self._app, user_id), 0, -1)
            if session_id is not None:
                pipeline.lrange(session_key(self._app, session_id), 0, -1)
            answers = pipeline.execute()
        if session_id is not None:
            person = replace(person, session=unpack_events(answers.pop(), self._item_ids))
        if user_id is not None:
            recent = unpack_events(answers.pop(), self._item_ids)
            row, _, history, _ = answers
            n_lost = sum(
                packed is None and not kind.is_full(user_id, length)
                for kind, packed, length in zip(people, answers[::2], answers[1::2], strict=True)
            )
            person = self._with_published(replace(person, recent=recent, n_lost=n_lost), user_id, row, history, now)
        return person

    def read_items(self, item_ids: Sequence[ItemId], now: datetime) -> ReadRows:
        """The items' feature rows in the order asked; a row of defaults where an item has none."""
        if not item_ids:
            return default_rows(self._schemas.item, 0)
        with mapped_errors():
            answers = self._client.hmget(items_key(self._app, self._generation_id), list(item_ids))
        rows = unpack_rows(cast("list[bytes | None]", answers), key_hashes(item_ids), self._schemas.item)
        usable = usable_rows(self._schemas.item, rows.values, rows.written, rows.known, now)
        if rows.known.all():
            return usable
        self._note_damaged(rows, item_ids)
        not_there = [item_id for item_id, known in zip(item_ids, rows.known, strict=True) if not known]
        return replace(usable, n_lost=sum(item_id in self._item_ids for item_id in not_there))

    def _with_published(
        self, person: Person, user_id: UserId, row: bytes | None, history: bytes | None, now: datetime
    ) -> Person:
        """The person with what was published of them, as far as it is there and sound."""
        rows = unpack_rows([row], key_hashes([user_id]), self._schemas.user)
        self._note_damaged(rows, [user_id])
        events = History.empty() if history is None else unpack_history(history, self._id_map_fingerprint, user_id)
        if events is None:
            self._note_damage(f"The history of user {user_id!r} is damaged, or somebody else's.")
        return replace(
            person,
            features=usable_rows(self._schemas.user, rows.values, rows.written, rows.known, now),
            history=History.empty() if events is None else events,
            older=OlderEvents.empty() if history is None or events is None else unpack_older_events(history),
            n_lost=person.n_lost + int(rows.damaged[0]) + (events is None),
        )

    def _note_damaged(self, rows: UnpackedRows, ids: Sequence[str]) -> None:
        if rows.damaged.any():
            of_whom = ids[int(rows.damaged.argmax())]
            self._note_damage(f"{int(rows.damaged.sum())} rows are damaged, or somebody else's: first, of {of_whom!r}.")

    def _note_damage(self, words: str) -> None:
        """Tell whoever repairs; an answer does not depend on it."""
        with suppress(StoreError):
            note_damage(self._client, self._app, self._generation_id, words)

    def _known_people(self) -> tuple[_People, _People]:
        """Where rows and histories are; kept once it is what the receipt says."""
        if self._people is None:
            rows, histories, is_whole = self._read_people()
            if not is_whole:
                return rows, histories
            self._people = rows, histories
        return self._people

    def _read_people(self) -> tuple[_People, _People, bool]:
        app, generation_id = self._app, self._generation_id
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.get(users_key(app, generation_id))
            pipeline.get(histories_key(app, generation_id))
            pipeline.get(receipt_key(app, generation_id))
            pipeline.exists(first_format_receipt_key(app, generation_id))
            users, histories, content, is_of_first_format = pipeline.execute()
        if is_of_first_format and content is None:
            raise StoreError(
                f"Generation {generation_id} was published in format 1; this Slatework reads {FORMAT_VERSION}.",
                "Publish it again with `dvc repro publish`.",
            )
        receipt = None if content is None else parse_receipt(content, receipt_key(app, generation_id), generation_id)
        n_users, n_histories = (None, None) if receipt is None else (receipt.n_users, receipt.n_histories)
        people = (
            _People(users_key, _parsed_firsts(users), n_users),
            _People(histories_key, _parsed_firsts(histories), n_histories),
        )
        return *people, receipt is not None and all(kind.is_whole for kind in people)


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
