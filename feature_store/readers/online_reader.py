"""Reads features from the online store, for the request path."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import redis

from contracts.errors import StoreError
from contracts.features import History, OlderEvents, Person, ReadRows, Visitor
from contracts.id_map import IdMap
from contracts.ids import FloatArray, ItemId, SessionId, UserId
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
from feature_store.online.pipelining import Command, raise_refused, send_pipelined
from feature_store.online.receipt import parse_receipt
from feature_store.online.recent_events import unpack_events
from feature_store.readers.kept_rows import KeptRows
from feature_store.readers.ttl_and_defaults import default_rows, usable_rows
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


@dataclass(frozen=True)
class _Stored:
    """What Redis holds of one visitor, packed. n_lost: of the row and the history, how many went from their bucket."""

    row: bytes | None = None
    history: bytes | None = None
    recent: Sequence[bytes] = ()
    session: Sequence[bytes] = ()
    n_lost: int = 0


class RedisFeatureReader:
    """Reads one generation of one application from Redis; one round trip per call, and none for items read before.

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
        self._kept = KeptRows(len(item_ids), len(schemas.item.names))

    @property
    def generation_id(self) -> str:
        return self._generation_id

    def read_person(self, user_id: UserId | None, session_id: SessionId | None, now: datetime) -> Person:
        """One person's features, history, session and recent events; defaults and empty where nothing is known."""
        return self.read_people([Visitor(user_id, session_id)], now)[0]

    def read_people(self, visitors: Sequence[Visitor], now: datetime) -> list[Person]:
        """The same of each of them, in their order."""
        with mapped_errors():
            stored = self._read_stored(visitors)
        ids = [visitor.user_id or UserId("") for visitor in visitors]
        rows = unpack_rows([one.row for one in stored], key_hashes(ids), self._schemas.user)
        self._note_damaged(rows, ids)
        usable = usable_rows(self._schemas.user, rows.values, rows.written, rows.known, now)
        return [
            self._person(user_id, one, usable.row(at), is_damaged=is_damaged)
            for at, (user_id, one, is_damaged) in enumerate(zip(ids, stored, rows.damaged.tolist(), strict=True))
        ]

    def read_items(self, item_ids: Sequence[ItemId], now: datetime) -> ReadRows:
        """The items' feature rows in the order asked; a row of defaults where an item has none."""
        if not item_ids:
            return default_rows(self._schemas.item, 0)
        rows = self._item_rows(item_ids)
        usable = usable_rows(self._schemas.item, rows.values, rows.written, rows.known, now)
        if rows.known.all():
            return usable
        self._note_damaged(rows, item_ids)
        not_there = [item_id for item_id, known in zip(item_ids, rows.known, strict=True) if not known]
        return replace(usable, n_lost=sum(item_id in self._item_ids for item_id in not_there))

    def _item_rows(self, item_ids: Sequence[ItemId]) -> UnpackedRows:
        """The rows of these items: those that are sound are read once."""
        item_idx = self._item_ids.indices(item_ids)
        there, kept_values, kept_written = self._kept.find(item_idx)
        if there.all():
            return UnpackedRows(kept_values, kept_written, there, ~there)
        asked = [item_id for item_id, is_kept in zip(item_ids, there.tolist(), strict=True) if not is_kept]
        with mapped_errors():
            answers = self._client.hmget(items_key(self._app, self._generation_id), asked)
        read = unpack_rows(cast("list[bytes | None]", answers), key_hashes(asked), self._schemas.item)
        sound = read.known
        self._kept.keep(item_idx[~there][sound], read.values[sound], read.written[sound])
        return _woven(there, kept_values, kept_written, read)

    def _read_stored(self, visitors: Sequence[Visitor]) -> list[_Stored]:
        somebody = any(visitor.user_id is not None for visitor in visitors)
        people = self._known_people() if somebody else ()
        commands = [self._commands(visitor, people) for visitor in visitors]
        answers = send_pipelined(self._client, [command for several in commands for command in several])
        raise_refused(answers)
        replies = iter(answers)
        return [_stored(visitor, people, replies) for visitor in visitors]

    def _commands(self, visitor: Visitor, people: Sequence[_People]) -> list[Command]:
        commands: list[Command] = []
        if visitor.user_id is not None:
            for kind in people:
                bucket = kind.key(self._app, self._generation_id, kind.bucket_of(visitor.user_id))
                commands += [("HGET", bucket, visitor.user_id), ("HLEN", bucket)]
            commands.append(("LRANGE", recent_key(self._app, visitor.user_id), "0", "-1"))
        if visitor.session_id is not None:
            commands.append(("LRANGE", session_key(self._app, visitor.session_id), "0", "-1"))
        return commands

    def _person(self, user_id: UserId, stored: _Stored, features: ReadRows, *, is_damaged: bool) -> Person:
        """The person with what was published of them, as far as it is there and sound, and what was done since."""
        packed = stored.history
        history = History.empty() if packed is None else unpack_history(packed, self._id_map_fingerprint, user_id)
        if history is None:
            self._note_damage(f"The history of user {user_id!r} is damaged, or somebody else's.")
        return Person(
            features,
            History.empty() if history is None else history,
            unpack_events(stored.session, self._item_ids),
            unpack_events(stored.recent, self._item_ids),
            n_lost=stored.n_lost + is_damaged + (history is None),
            older=OlderEvents.empty() if packed is None or history is None else unpack_older_events(packed),
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


def _woven(
    there: npt.NDArray[np.bool_], kept_values: FloatArray, kept_written: npt.NDArray[np.int64], read: UnpackedRows
) -> UnpackedRows:
    """Rows that were kept, where there is True, and between them those that were read."""
    values = np.empty((len(there), read.values.shape[1]), np.float32)
    written, known, damaged = np.empty(len(there), np.int64), there.copy(), np.zeros(len(there), bool)
    values[there], written[there] = kept_values, kept_written
    values[~there], written[~there] = read.values, read.written
    known[~there], damaged[~there] = read.known, read.damaged
    return UnpackedRows(values, written, known, damaged)


def _stored(visitor: Visitor, people: Sequence[_People], replies: Iterator[Any]) -> _Stored:
    """The replies to the commands about one visitor, which come next."""
    user_id, stored = visitor.user_id, _Stored()
    if user_id is not None:
        packed, lengths = zip(*((next(replies), next(replies)) for _ in people), strict=True)
        n_lost = sum(
            value is None and not kind.is_full(user_id, length)
            for kind, value, length in zip(people, packed, lengths, strict=True)
        )
        row, history = packed
        stored = _Stored(row, history, recent=next(replies), n_lost=n_lost)
    return stored if visitor.session_id is None else replace(stored, session=next(replies))


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
