"""Publishing: every value of a generation into the online store, read back and compared, and then the receipt.

Every write is one that could be made again: a publisher that is killed anywhere leaves some right values and no
receipt, the next one writes what is missing, and two at once end with the same. Nothing here touches the pointer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import cast

import redis
from tqdm import tqdm

from contracts.errors import PublishIncomplete, ReleaseMismatch
from contracts.features import Entity, FeatureSchema
from contracts.fingerprint import FINGERPRINT_LENGTH
from contracts.id_map import IdMap
from feature_store.connection import mapped_errors
from feature_store.histories import EventsByPerson
from feature_store.keys import history_key, item_key, user_key
from feature_store.packing import epoch_seconds, layout_fingerprint, pack_history, pack_rows
from feature_store.receipt import Receipt, is_published, read_receipt, write_receipt
from feature_store.values import FeatureSchemas, FeatureValues

__all__ = ["Receipt", "is_published", "publish", "read_receipt"]

Batch = dict[str, bytes]


def publish(
    client: redis.Redis,
    app: str,
    values: FeatureValues,
    schemas: FeatureSchemas,
    item_ids: IdMap,
    release_id: str,
    batch_size: int,
) -> Receipt:
    """Put the values into the store under their generation, writing only what is missing or differs.

    item_ids: the release's map, which the histories are packed with; the values must be of exactly these items.
    batch_size: values sent in one command.
    Raises PublishIncomplete when the store does not hold what was written, StoreError when it refuses; a rerun goes on.
    """
    _check_items(values, item_ids)
    checksum = hashlib.sha256()
    n_values = sum(values.counts.values())
    with tqdm(total=n_values, desc=f"publish {values.generation_id}", unit="value", disable=None) as progress:
        for batch in _batches(app, values, schemas, item_ids, batch_size):
            for stored in _settle(client, batch):
                checksum.update(stored)
            progress.update(len(batch))
    receipt = Receipt(
        release_id, values.generation_id, **values.counts, checksum=checksum.hexdigest()[:FINGERPRINT_LENGTH]
    )
    write_receipt(client, app, receipt)
    return receipt


def _check_items(values: FeatureValues, item_ids: IdMap) -> None:
    of_values = IdMap.of(values.ids(Entity.ITEM))
    if of_values.fingerprint != item_ids.fingerprint:
        raise ReleaseMismatch(
            f"The values are of {len(of_values)} items, id map {of_values.fingerprint}; "
            f"the release has {len(item_ids)}, id map {item_ids.fingerprint}.",
            "They belong to different releases. Run `dvc repro`, or check out one release.",
        )


def _batches(
    app: str, values: FeatureValues, schemas: FeatureSchemas, item_ids: IdMap, batch_size: int
) -> Iterator[Batch]:
    yield from _row_batches(app, values, schemas.user, batch_size)
    yield from _row_batches(app, values, schemas.item, batch_size)
    yield from _history_batches(app, values, item_ids, batch_size)


def _row_batches(app: str, values: FeatureValues, schema: FeatureSchema, batch_size: int) -> Iterator[Batch]:
    key_of = user_key if schema.entity is Entity.USER else item_key
    matrix, ids, written = values.matrix(schema), values.ids(schema.entity), epoch_seconds(values.as_of)
    layout = layout_fingerprint(schema)
    for start in range(0, len(ids), batch_size):
        rows = pack_rows(matrix[start : start + batch_size], layout, written)
        keys = (key_of(app, values.generation_id, entity_id) for entity_id in ids[start : start + batch_size])
        yield dict(zip(keys, rows, strict=True))


def _history_batches(app: str, values: FeatureValues, item_ids: IdMap, batch_size: int) -> Iterator[Batch]:
    events, written = EventsByPerson(values.histories, item_ids), epoch_seconds(values.as_of)
    id_map = item_ids.fingerprint
    for start in range(0, len(events.user_ids), batch_size):
        yield {
            history_key(app, values.generation_id, user_id): pack_history(events.of(user_id), id_map, written)
            for user_id in events.user_ids[start : start + batch_size]
        }


def _settle(client: redis.Redis, batch: Batch) -> list[bytes]:
    """Make the store hold the batch, and return what it holds then; a batch is read before and, when written, after."""
    stored = _read(client, batch)
    differing = {key: value for (key, value), found in zip(batch.items(), stored, strict=True) if found != value}
    if differing:
        with mapped_errors():
            client.mset(differing)
        stored = _read(client, batch)
    wrong = [key for (key, value), found in zip(batch.items(), stored, strict=True) if found != value]
    if wrong:
        raise PublishIncomplete(
            f"{len(wrong)} of {len(batch)} values just written are not in the online store, among them {wrong[0]}.",
            "It evicts keys (see its `maxmemory-policy`) or somebody clears it: mend that and run `dvc repro publish`.",
        )
    return cast("list[bytes]", stored)


def _read(client: redis.Redis, batch: Batch) -> list[bytes | None]:
    with mapped_errors():
        return cast("list[bytes | None]", client.mget(list(batch)))
