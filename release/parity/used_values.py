"""The feature values that one answer stands on: taken while it is made, logged beside it, recomputed by `slate parity`.

A record (version 2; all numbers little-endian, docs/formats/redis.md):

    "SV", a byte 2, and compressed by zlib:
        u32, how long the head is
        the head, JSON: {"request_id", "arm", "release_id", "generation_id", "now", "history": {"n_events", "last_ts"},
         "recent": [[epoch microseconds, event type, item number], ...], "user": rows or null, "items": rows or null}
        of the person and of the items, where they are not null: the values as f32, feature after feature, first the
        lowest byte of all of them, then the next; and a bit for each, likewise

    rows: {"ids", "known", "written", "n_features"}

Version 1 is JSON as a whole, with `values` and `missing` in base64, row after row, among the rows; it is still read.

`recent` are the person's recent events, which the live features of their row count in; servers of before told no items.

`values` are what the ranker was handed, defaults filled in; `missing` has a bit for each of them, set where it is one
of those defaults.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from contracts.errors import ArtefactError
from contracts.events import EVENT_TYPE_OF, EventType
from contracts.features import Person, ReadRows
from contracts.fingerprint import fingerprint_json
from contracts.ids import ItemId, UserId
from contracts.slates import RecommendRequest, Slate

# Of the candidates not shown so many are drawn: a value that keeps an item from being shown never shows among the
# shown. All 500 would be 25 times the bytes.
N_NOT_SHOWN: Final = 10
MAGIC: Final = b"SV\x02"
LEVEL: Final = 1  # of zlib: 6 takes twice as long for a twentieth less
MOST_BYTES: Final = 16 * 2**20  # of a record, however small it is compressed


@dataclass(frozen=True)
class UsedRows:
    """Rows by id, as `ReadRows` has them."""

    ids: tuple[str, ...]
    rows: ReadRows


class UsedEvent(NamedTuple):
    """One recent event. item_idx: as in `contracts.features.RecentEvents`; None where the log does not tell it."""

    event_us: int
    event_type: EventType
    item_idx: int | None = None


@dataclass(frozen=True)
class UsedValues:
    """What one answer was made of.

    user: one row; None where nobody was named. items: those shown, in their order, then some of the other candidates;
    none where the tier asks no ranker. n_events, last_ts: of the person's history, session not included; last_ts is
    epoch seconds, None where the history is empty. recent: what the person did of late.
    """

    request_id: str
    release_id: str
    generation_id: str
    now: datetime
    user: UsedRows | None
    items: UsedRows | None
    n_events: int
    last_ts: int | None
    recent: tuple[UsedEvent, ...] = ()

    def to_bytes(self, arm: str) -> bytes:
        """The record; `parse_record` reads it. arm: which of the releases served at once answered."""
        rows = [one for one in (self.user, self.items) if one is not None]
        head = json.dumps({**self._head(), "arm": arm}, separators=(",", ":")).encode()
        blocks = [block for one in rows for block in (_planes(one.rows.values), _packed_bits(one.rows.missing))]
        return MAGIC + zlib.compress(b"".join([len(head).to_bytes(4, "little"), head, *blocks]), LEVEL)

    @classmethod
    def from_bytes(cls, record: bytes) -> UsedValues:
        """What `to_bytes` gave; raises ValueError, TypeError or KeyError for anything else."""
        content = _decompressed(record.removeprefix(MAGIC))
        n_head = int.from_bytes(content[:4], "little")
        head, blocks = json.loads(content[4 : 4 + n_head]), _Blocks(content, 4 + n_head)
        user, items = (None if head[name] is None else blocks.rows(head[name]) for name in ("user", "items"))
        blocks.check_end()
        return cls._of(head, user, items)

    def _head(self) -> dict[str, Any]:
        return {
            "request_id": self.request_id,
            "release_id": self.release_id,
            "generation_id": self.generation_id,
            "now": self.now.isoformat(),
            "history": {"n_events": self.n_events, "last_ts": self.last_ts},
            "recent": [list(event) for event in self.recent],
            "user": self.user and _told_rows(self.user),
            "items": self.items and _told_rows(self.items),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> UsedValues:
        """A record of version 1; raises ValueError, TypeError or KeyError for anything else."""
        user, items = (None if value[name] is None else _decoded_rows(value[name]) for name in ("user", "items"))
        return cls._of(value, user, items)

    @classmethod
    def _of(cls, value: dict[str, Any], user: UsedRows | None, items: UsedRows | None) -> UsedValues:
        now = datetime.fromisoformat(value["now"])
        if now.tzinfo is None:
            raise ValueError(f"now is {value['now']!r}, which has no time zone")
        return cls(
            request_id=str(value["request_id"]),
            release_id=str(value["release_id"]),
            generation_id=str(value["generation_id"]),
            now=now,
            user=user,
            items=items,
            n_events=int(value["history"]["n_events"]),
            last_ts=value["history"]["last_ts"],
            recent=tuple(_used_event(*event) for event in value["recent"]),
        )


class _Read(NamedTuple):
    """Who asked one request, as read at `now`."""

    user_id: UserId | None
    person: Person
    now: datetime


class _Candidates(NamedTuple):
    """What the ranker was handed of one request: which of the rows that were read, and the ids of all of these."""

    item_ids: Sequence[ItemId]
    rows: ReadRows
    positions: npt.NDArray[np.intp]


class ValuesRecorder:
    """Keeps what the request path hands over of the requests it answers, so that nothing is read twice.

    Of each request its own candidates, whatever it was answered together with.
    """

    def __init__(self) -> None:
        self._people: dict[str, _Read] = {}
        self._items: dict[str, _Candidates] = {}

    def note_people(self, requests: Sequence[RecommendRequest], people: Sequence[Person], now: datetime) -> None:
        """Who asks, with their live features as of now."""
        for request, person in zip(requests, people, strict=True):
            self._people[request.request_id] = _Read(request.user_id, person, now)

    def note_items(
        self,
        requests: Sequence[RecommendRequest],
        item_ids: Sequence[ItemId],
        rows: ReadRows,
        candidates: Sequence[npt.NDArray[np.intp]],
    ) -> None:
        """The rows of items that were read; candidates: for each request, which of them the ranker was handed."""
        for request, positions in zip(requests, candidates, strict=True):
            self._items[request.request_id] = _Candidates(item_ids, rows, positions)

    def note_shown(self, *_noted: object) -> None:
        """Nothing: values are what is logged."""

    def read(self, request_id: str) -> tuple[Person, datetime] | None:
        """Who asked, and when; None where nothing was read for it."""
        read = self._people.get(request_id)
        return None if read is None else (read.person, read.now)

    def used(self, slate: Slate) -> UsedValues | None:
        """What the slate stands on; None where nothing was read for it."""
        read, candidates = self._people.get(slate.request_id), self._items.get(slate.request_id)
        if read is None:
            return None
        user_id, person, now = read
        history, recent = person.history, person.recent
        return UsedValues(
            request_id=slate.request_id,
            release_id=slate.release_id,
            generation_id=slate.generation_id,
            now=now,
            user=None if user_id is None else UsedRows((user_id,), person.features),
            items=None if candidates is None else _logged_item_rows(candidates, slate),
            n_events=len(history),
            last_ts=int(history.event_ts[-1]) if len(history) else None,
            recent=tuple(
                UsedEvent(event_us, EVENT_TYPE_OF[code], item_idx)
                for event_us, code, item_idx in zip(
                    recent.event_us.tolist(), recent.event_types.tolist(), recent.item_idx.tolist(), strict=True
                )
            ),
        )


def parse_record(record: bytes) -> UsedValues:
    """The values of one entry of the log; raises ArtefactError naming what is none of ours."""
    try:
        if record.startswith(MAGIC):
            return UsedValues.from_bytes(record)
        return UsedValues.from_json(json.loads(record))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ArtefactError(
            f"The values log holds {record[:200]!r}, which are no values of this Slatework: {error!r}.",
            "Servers of another version wrote it: remove the log with `redis-cli del`, and let it fill again.",
        ) from error


def _used_event(event_us: Any, event_type: Any, item_idx: Any = None) -> UsedEvent:
    return UsedEvent(int(event_us), EventType(event_type), None if item_idx is None else int(item_idx))


def _logged_item_rows(candidates: _Candidates, slate: Slate) -> UsedRows:
    item_ids, rows, positions = candidates
    own, ids_shown = positions.tolist(), {item.item_id for item in slate.items}
    position = {item_ids[at]: at for at in own if item_ids[at] in ids_shown}
    shown = [position[item.item_id] for item in slate.items if item.item_id in position]
    rng = np.random.default_rng(int(fingerprint_json(slate.request_id), 16))
    # So many that enough are left, whichever of them were shown.
    drawn = rng.choice(len(own), min(N_NOT_SHOWN + len(shown), len(own)), replace=False)
    others = [own[place] for place in drawn.tolist() if own[place] not in shown]
    taken = [*shown, *sorted(others[:N_NOT_SHOWN])]
    part = ReadRows(rows.values[taken], rows.known[taken], rows.missing[taken], rows.written[taken])
    return UsedRows(tuple(item_ids[at] for at in taken), part)


def _told_rows(used: UsedRows) -> dict[str, Any]:
    rows = used.rows
    told = {"ids": list(used.ids), "known": rows.known.tolist(), "written": rows.written.tolist()}
    return {**told, "n_features": rows.values.shape[1]}


def _planes(values: npt.NDArray[np.float32]) -> bytes:
    """The values feature after feature, the lowest byte of all first: alike bytes side by side compress well."""
    by_feature = np.ascontiguousarray(values.T.astype("<f4", copy=False))
    return by_feature.view(np.uint8).reshape(-1, 4).T.tobytes()


def _packed_bits(missing: npt.NDArray[np.bool_]) -> bytes:
    return np.packbits(missing.T).tobytes()


def _decompressed(packed: bytes) -> bytes:
    decompressor = zlib.decompressobj()
    try:
        content = decompressor.decompress(packed, MOST_BYTES)
    except zlib.error as error:
        raise ValueError(f"what is compressed is damaged ({error})") from error
    if not decompressor.eof:
        raise ValueError("what is compressed has no end")
    return content


class _Blocks:
    """The arrays behind the head, taken one after the other."""

    def __init__(self, content: bytes, start: int) -> None:
        self._content = content
        self._at = start

    def rows(self, told: dict[str, Any]) -> UsedRows:
        """The next rows, of these ids."""
        ids = tuple(str(entity_id) for entity_id in told["ids"])
        shape = (int(told["n_features"]), len(ids))
        if min(shape) < 1:
            raise ValueError(f"rows of {shape[1]} ids and {shape[0]} features")
        n_values = shape[0] * shape[1]
        planes = np.frombuffer(self._next(4 * n_values), np.uint8).reshape(4, n_values)
        values = np.ascontiguousarray(planes.T).view("<f4").reshape(shape).T
        missing = np.unpackbits(np.frombuffer(self._next(-(-n_values // 8)), np.uint8), count=n_values)
        return UsedRows(ids, _checked_rows(ids, values, missing.reshape(shape).T.astype(bool), told))

    def _next(self, n_bytes: int) -> bytes:
        block = self._content[self._at : self._at + n_bytes]
        if len(block) != n_bytes:
            raise ValueError(f"{len(block)} bytes are left where {n_bytes} are needed")
        self._at += n_bytes
        return block

    def check_end(self) -> None:
        """Raise ValueError where bytes are left."""
        if self._at != len(self._content):
            raise ValueError(f"{len(self._content) - self._at} bytes are left")


def _decoded_rows(value: dict[str, Any]) -> UsedRows:
    ids = tuple(str(entity_id) for entity_id in value["ids"])
    values = np.frombuffer(base64.b64decode(value["values"], validate=True), "<f4")
    if not ids or values.size % len(ids):
        raise ValueError(f"{values.size} values do not make rows of {len(ids)} ids")
    shape = (len(ids), values.size // len(ids))
    missing = _bits(value["missing"], values.size).reshape(shape)
    return UsedRows(ids, _checked_rows(ids, values.reshape(shape), missing, value))


def _checked_rows(
    ids: Sequence[str], values: npt.NDArray[np.float32], missing: npt.NDArray[np.bool_], told: dict[str, Any]
) -> ReadRows:
    known, written = np.array(told["known"], bool), np.array(told["written"], np.int64)
    if known.shape != written.shape or known.shape != (len(ids),):
        raise ValueError(f"`known` and `written` are not of {len(ids)} rows")
    return ReadRows(np.ascontiguousarray(values, np.float32), known, np.ascontiguousarray(missing), written)


def _bits(text: str, count: int) -> npt.NDArray[np.bool_]:
    packed = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    if packed.size != -(-count // 8):
        raise ValueError(f"{packed.size} bytes do not hold {count} bits")
    return np.unpackbits(packed, count=count).astype(bool)
