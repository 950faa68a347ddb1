"""The hashes of packed values that are written to the online store, in the order in which they are written.

People come in buckets of BUCKET_SIZE, in the order of their ids, and behind them the list of where each bucket begins.
Items are all in one hash, written part by part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from contracts.errors import ArtefactError
from contracts.features import Entity, FeatureSchema, OlderEvents
from contracts.id_map import IdMap
from feature_store.online.keys import BUCKET_SIZE, histories_key, items_key, users_key
from feature_store.online.packing import epoch_seconds, layout_fingerprint, pack_histories, pack_rows
from feature_store.values.generation_digest import ArrayDigest, matrix_of
from feature_store.values.histories import events_of, older_events_of
from feature_store.values.value_source import REBUILD, ValueSource

ROWS_AT_ONCE = 8192  # of all columns: a megabyte or two
HISTORIES_AT_ONCE = 1024  # of up to a thousand events each, with names: some tens of megabytes

Packed = tuple[list[bytes], list[bytes]]


@dataclass(frozen=True)
class Bucket:
    """A hash, or a part of the one of the items. whole: nothing else belongs into the hash."""

    key: str
    fields: dict[bytes, bytes]
    whole: bool


def user_buckets(
    app: str, source: ValueSource, schema: FeatureSchema, digest: ArrayDigest, firsts: list[str]
) -> Iterator[Bucket]:
    """Everybody's rows. firsts: gets the first id of each bucket."""
    packed = _packed_rows(source, schema, digest)
    return _buckets_of_people(packed, lambda bucket: users_key(app, source.generation_id, bucket), firsts)


def history_buckets(app: str, source: ValueSource, item_ids: IdMap, firsts: list[str]) -> Iterator[Bucket]:
    """Everybody's histories; raises ReleaseMismatch when one holds an item that `item_ids` does not know."""
    packed = _packed_histories(source, item_ids)
    return _buckets_of_people(packed, lambda bucket: histories_key(app, source.generation_id, bucket), firsts)


def item_parts(app: str, source: ValueSource, schema: FeatureSchema, digest: ArrayDigest) -> Iterator[Bucket]:
    """The rows of all items, BUCKET_SIZE at a time."""
    key = items_key(app, source.generation_id)
    for ids, rows in _in_groups(_packed_rows(source, schema, digest)):
        yield Bucket(key, dict(zip(ids, rows, strict=True)), whole=False)


def _buckets_of_people(packed: Iterable[Packed], key_of: Callable[[int], str], firsts: list[str]) -> Iterator[Bucket]:
    last = None
    for number, (ids, values) in enumerate(_in_groups(packed)):
        if ids != sorted(set(ids)) or (last is not None and ids[0] <= last):
            raise ArtefactError(f"The people from {ids[0]!r} on are not in the order of their ids, once each.", REBUILD)
        last = ids[-1]
        firsts.append(ids[0].decode())
        yield Bucket(key_of(number), dict(zip(ids, values, strict=True)), whole=True)


def _in_groups(batches: Iterable[Packed]) -> Iterator[Packed]:
    """The packed values in groups of BUCKET_SIZE, whatever the batches are; the last group is the rest."""
    ids: list[bytes] = []
    values: list[bytes] = []
    for more_ids, more_values in batches:
        ids += more_ids
        values += more_values
        full = len(ids) - len(ids) % BUCKET_SIZE
        for start in range(0, full, BUCKET_SIZE):
            yield ids[start : start + BUCKET_SIZE], values[start : start + BUCKET_SIZE]
        ids, values = ids[full:], values[full:]
    if ids:
        yield ids, values


def _packed_rows(source: ValueSource, schema: FeatureSchema, digest: ArrayDigest) -> Iterator[Packed]:
    layout, written = layout_fingerprint(schema), epoch_seconds(source.as_of)
    for batch in source.batches(schema.entity.value, ROWS_AT_ONCE):
        matrix = matrix_of(batch)
        digest.update(matrix)
        ids = _ids(batch, f"{schema.entity}_id")
        yield ids, pack_rows(matrix, layout, written, ids)


def _packed_histories(source: ValueSource, item_ids: IdMap) -> Iterator[Packed]:
    id_map, written = item_ids.fingerprint, epoch_seconds(source.as_of)
    for batch in source.batches("history", HISTORIES_AT_ONCE):
        events, lengths = events_of(batch, item_ids)
        ids = _ids(batch, "user_id")
        yield ids, pack_histories(events, lengths.tolist(), id_map, written, ids, _older_by_place(batch, item_ids))


def _older_by_place(batch: pl.DataFrame, item_ids: IdMap) -> dict[int, OlderEvents]:
    """By place in the batch, what the histories of those who did more do not hold."""
    older, lengths = older_events_of(batch, item_ids)
    ends = np.cumsum(lengths)
    return {
        int(place): older.where(slice(int(ends[place] - lengths[place]), int(ends[place])))
        for place in np.flatnonzero(lengths)
    }


def _ids(batch: pl.DataFrame, column: str) -> list[bytes]:
    ids: list[bytes] = batch[column].cast(pl.Binary).to_list()
    return ids


def item_ids_of(source: ValueSource) -> IdMap:
    """The items that the values are of."""
    key = f"{Entity.ITEM}_id"
    return IdMap.of(item_id for batch in source.batches("item", ROWS_AT_ONCE, [key]) for item_id in batch[key])
