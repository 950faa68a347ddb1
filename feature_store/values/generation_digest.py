"""The generation id: the fingerprint of the content of a set of values, computed without holding them together.

It is the fingerprint of canonical JSON over as_of, ids, names, values and histories; never of how they were written.
Each part is hashed in a pass of its own over the columns that it needs. The features themselves, by far the most bytes,
are hashed where they pass by anyway (`ArrayDigest`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from contracts.artefact import array_head
from contracts.features import Entity
from contracts.fingerprint import FINGERPRINT_LENGTH, canonical_json, fingerprint_chunks, fingerprint_json
from contracts.ids import FloatArray
from feature_store.values.value_source import (
    EVENT_TYPES,
    OLDER_EVENT_TS,
    OLDER_EVENT_TYPES,
    OLDER_ITEM_IDS,
    ValueSource,
)

ROWS_AT_ONCE = 65_536  # of ids and numbers: some megabytes
HISTORIES_AT_ONCE = 4096  # of up to a thousand events each


class Digest:
    """A fingerprint of bytes that come in pieces."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def update(self, chunk: bytes | memoryview) -> None:
        """Add the next bytes."""
        self._hash.update(chunk)

    @property
    def fingerprint(self) -> str:
        return self._hash.hexdigest()[:FINGERPRINT_LENGTH]


class ArrayDigest:
    """The fingerprint of an array that comes in pieces, row after row; equal to `fingerprint_array` of the whole."""

    def __init__(self, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> None:
        self._dtype = np.dtype(dtype)
        self._digest = Digest()
        self._digest.update(array_head(self._dtype, shape))

    def update(self, rows: npt.NDArray[Any]) -> None:
        """Add the next rows."""
        self._digest.update(np.ascontiguousarray(rows, dtype=self._dtype).data)

    @property
    def fingerprint(self) -> str:
        return self._digest.fingerprint


class GenerationDigest:
    """The generation id in the making: everything but the features is hashed when this is made.

    features: gets the features of each entity, as `matrix_of` gives them, in the order of the source.
    """

    def __init__(self, source: ValueSource) -> None:
        self._as_of = source.as_of
        self._history = _histories_fingerprint(source)
        self._rows = {entity: _digest_before_features(source, entity) for entity in Entity}
        self.features = {
            entity: ArrayDigest(np.float32, (_n_rows(source, entity), len(source.feature_names(entity))))
            for entity in Entity
        }

    def finish(self) -> str:
        """The generation id; to be called once, when all features were added."""
        for entity, digest in self._rows.items():
            digest.update(canonical_json(self.features[entity].fingerprint) + b"}")
        rows = {str(entity): digest.fingerprint for entity, digest in self._rows.items()}
        return fingerprint_json({"as_of": self._as_of.isoformat(), "history": self._history, **rows})


def generation_id_of(source: ValueSource) -> str:
    """The fingerprint of everything a source gives."""
    digest = GenerationDigest(source)
    for entity in Entity:
        for batch in source.batches(entity.value, ROWS_AT_ONCE):
            digest.features[entity].update(matrix_of(batch))
    return digest.finish()


def matrix_of(table: pl.DataFrame) -> FloatArray:
    """(n_rows, n_features) f32 of a table whose first column is the id, NaN where null."""
    if table.width == 1:
        return np.empty((table.height, 0), np.float32)
    return table[:, 1:].to_numpy(order="c").astype(np.float32, copy=False)


def _n_rows(source: ValueSource, entity: Entity) -> int:
    return source.counts["n_users" if entity is Entity.USER else "n_items"]


def _digest_before_features(source: ValueSource, entity: Entity) -> Digest:
    """Canonical JSON of an entity's rows up to where the features' fingerprint stands, the last of its members."""
    key = f"{entity}_id"
    ids = (batch[key].to_list() for batch in source.batches(entity.value, ROWS_AT_ONCE, [key]))
    digest = Digest()
    digest.update(b'{"ids":')
    for piece in _json_array(ids):
        digest.update(piece)
    digest.update(b',"names":' + canonical_json(list(source.feature_names(entity))) + b',"values":')
    return digest


def _histories_fingerprint(source: ValueSource) -> str:
    lengths = _lengths(source, "event_ts")
    n_events = sum(map(sum, lengths))
    members: dict[str, Any] = {
        "event_ts": _events_fingerprint(source, "event_ts", np.int64, n_events),
        "ids": _json_array(batch["user_id"].to_list() for batch in _history_column(source, "user_id")),
        "item_ids": _names(source, "item_ids"),
        "lengths": _json_array(lengths),
        "values": _events_fingerprint(source, "values", np.float32, n_events),
    }
    if source.has_event_types:
        members[EVENT_TYPES] = _events_fingerprint(source, EVENT_TYPES, np.uint8, n_events)
    if source.has_older_events:
        older_lengths = _lengths(source, OLDER_EVENT_TS)
        n_older = sum(map(sum, older_lengths))
        members |= {
            OLDER_EVENT_TS: _events_fingerprint(source, OLDER_EVENT_TS, np.int64, n_older),
            OLDER_EVENT_TYPES: _events_fingerprint(source, OLDER_EVENT_TYPES, np.uint8, n_older),
            OLDER_ITEM_IDS: _names(source, OLDER_ITEM_IDS),
            "older_lengths": _json_array(older_lengths),
        }
    return fingerprint_chunks(_json_object(members))


def _lengths(source: ValueSource, column: str) -> list[list[int]]:
    return [batch[column].list.len().to_list() for batch in _history_column(source, column)]


def _names(source: ValueSource, column: str) -> Iterator[bytes]:
    """Canonical JSON of all ids of a column of lists."""
    return _json_array(
        batch[column].explode(empty_as_null=False).to_list() for batch in _history_column(source, column)
    )


def _events_fingerprint(source: ValueSource, column: str, dtype: npt.DTypeLike, n_events: int) -> str:
    digest = ArrayDigest(dtype, (n_events,))
    for batch in _history_column(source, column):
        digest.update(batch[column].explode(empty_as_null=False).to_numpy())
    return digest.fingerprint


def _history_column(source: ValueSource, column: str) -> Iterator[pl.DataFrame]:
    return source.batches("history", HISTORIES_AT_ONCE, [column])


def _json_object(members: Mapping[str, Any]) -> Iterator[bytes]:
    """Canonical JSON of an object, piece by piece; members that are iterators give their own pieces."""
    for position, name in enumerate(sorted(members)):
        yield (b"," if position else b"{") + canonical_json(name) + b":"
        value = members[name]
        yield from value if isinstance(value, Iterator) else [canonical_json(value)]
    yield b"}"


def _json_array(batches: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    """Canonical JSON of one array, made from the pieces of its elements."""
    pieces = (canonical_json(batch)[1:-1] for batch in batches if len(batch))
    with_commas = (b"," + piece if position else piece for position, piece in enumerate(pieces))
    return chain([b"["], with_commas, [b"]"])
