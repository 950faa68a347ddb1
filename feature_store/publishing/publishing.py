"""Publishing: every value of a generation into the online store, read back and compared, and then the receipt.

Values stream from where they are into the store; neither side is ever held as a whole. While the server is busy with
one batch, the next is read and packed.

Every write is one that could be made again: a publisher that is killed anywhere leaves some right values and no
receipt, and the next one writes what is missing. One at a time publishes (`write_lease`). Nothing here touches the
pointer, and values that have a receipt already are written again only from a source that was checked before.

What stands behind a receipt: each hash was read back, whole, and was equal to what the source holds; the source was the
generation that it says; and at the end, under a token put there after the last write, every hash was still there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

import redis
from redis.exceptions import ResponseError

from contracts.batches import batches_of
from contracts.errors import PublishIncomplete, ReleaseMismatch
from contracts.features import Entity
from contracts.fingerprint import FINGERPRINT_LENGTH, canonical_json
from contracts.id_map import IdMap
from contracts.progress import Progress
from feature_store.online.connection import mapped_errors
from feature_store.online.keys import BUCKET_SIZE, histories_key, items_key, users_key
from feature_store.online.pipelining import Command, raise_refused, send_pipelined
from feature_store.online.receipt import Receipt, read_receipt
from feature_store.publishing.buckets import Bucket, history_buckets, item_ids_of, item_parts, user_buckets
from feature_store.publishing.generations import enter_generation, publish_receipt
from feature_store.publishing.memory_forecast import check_memory, generation_size
from feature_store.publishing.stored_keys import bucket_keys, count_existing
from feature_store.publishing.write_lease import LEASE_MS, hold_write_lease
from feature_store.values.generation_digest import GenerationDigest, generation_id_of
from feature_store.values.value_source import ValueSource
from feature_store.values.values import FeatureSchemas, check_features, not_the_generation

StoredFields = dict[bytes, bytes | None]  # the fields of a hash in the store; of a part of one, those asked for


def publish(
    client: redis.Redis,
    app: str,
    values: ValueSource,
    schemas: FeatureSchemas,
    item_ids: IdMap,
    release_id: str,
    batch_size: int,
    lease_ms: int = LEASE_MS,
) -> Receipt:
    """Put the values into the store under their generation, writing only what is missing or differs.

    item_ids: the release's map, which the histories are packed with; the values must be of exactly these items.
    batch_size: entities sent in one pipeline. lease_ms: see `hold_write_lease`.
    Raises StoreError when the store refuses or has no room, PublishIncomplete when it does not hold what was written,
    ArtefactError when the values are not the generation that they say; a rerun goes on.
    """
    _check_source(values, schemas, item_ids)
    size = generation_size(values)
    check_memory(client, app, values.generation_id, size)
    if read_receipt(client, app, values.generation_id, release_id):
        _check_generation(values, generation_id_of(values))
    publication = _Publication(client, app, values, schemas, item_ids)
    with hold_write_lease(client, app, lease_ms) as lease, _progress(values) as progress:
        check_memory(client, app, values.generation_id, size)  # whoever we waited for has filled some of it
        enter_generation(client, app, lease, release_id, values.generation_id, values.counts)
        for n_written in publication.write(batch_size):
            lease.renew()
            progress.update(n_written)
        _check_generation(values, publication.digest.finish())
        lease.seal()
        publication.check_all_there()
        receipt = Receipt(release_id, values.generation_id, **values.counts, checksum=publication.checksum)
        publish_receipt(client, app, lease, receipt)
    return receipt


class _Publication:
    """One generation on its way into the store."""

    def __init__(
        self, client: redis.Redis, app: str, values: ValueSource, schemas: FeatureSchemas, item_ids: IdMap
    ) -> None:
        self._client = client
        self._app = app
        self._values = values
        self._schemas = schemas
        self._item_ids = item_ids
        self._checksum = hashlib.sha256()
        self.digest = GenerationDigest(values)

    @property
    def checksum(self) -> str:
        """Of everything written so far."""
        return self._checksum.hexdigest()[:FINGERPRINT_LENGTH]

    def write(self, batch_size: int) -> Iterator[int]:
        """Make the store hold everything; yields after each batch how many values that were."""
        firsts: dict[str, list[str]] = {"u": [], "h": []}
        n_buckets = -(-batch_size // BUCKET_SIZE)
        for batch in _read_ahead(batches_of(self._buckets(firsts), n_buckets)):
            _write_and_verify(self._client, batch)
            for bucket in batch:
                self._checksum.update(b"".join(chain.from_iterable(bucket.fields.items())))
            yield sum(len(bucket.fields) for bucket in batch)
        _write_and_verify_list(self._client, users_key(self._app, self._values.generation_id), firsts["u"])
        _write_and_verify_list(self._client, histories_key(self._app, self._values.generation_id), firsts["h"])
        self._remove_other_items()

    def check_all_there(self) -> None:
        """Raise PublishIncomplete when a hash that was written and compared is not there any more."""
        app, generation_id, counts = self._app, self._values.generation_id, self._values.counts
        buckets = bucket_keys(app, generation_id, counts["n_users"], counts["n_histories"])
        keys = [*buckets, users_key(app, generation_id), histories_key(app, generation_id)]
        n_stored = count_existing(self._client, keys)
        with mapped_errors():
            n_items = self._client.hlen(items_key(app, generation_id))
        if (n_stored, n_items) != (len(keys), counts["n_items"]):
            raise _incomplete(
                f"Of generation {generation_id}, {n_stored} of {len(keys)} keys of people and {n_items} of "
                f"{counts['n_items']} items are in the online store, all of which were written"
            )

    def _buckets(self, firsts: dict[str, list[str]]) -> Iterator[Bucket]:
        app, values, features = self._app, self._values, self.digest.features
        yield from user_buckets(app, values, self._schemas.user, features[Entity.USER], firsts["u"])
        yield from item_parts(app, values, self._schemas.item, features[Entity.ITEM])
        yield from history_buckets(app, values, self._item_ids, firsts["h"])

    def _remove_other_items(self) -> None:
        """Remove items of another generation: all items share a hash, so that they show only at the end."""
        key, n_items = items_key(self._app, self._values.generation_id), self._values.counts["n_items"]
        with mapped_errors():
            if self._client.hlen(key) == n_items:
                return
            for item_id, _row in self._client.hscan_iter(key):
                if item_id.decode(errors="replace") not in self._item_ids:
                    self._client.hdel(key, item_id)


def _check_source(values: ValueSource, schemas: FeatureSchemas, item_ids: IdMap) -> None:
    of_values = item_ids_of(values)
    if of_values.fingerprint != item_ids.fingerprint:
        raise ReleaseMismatch(
            f"The values are of {len(of_values)} items, id map {of_values.fingerprint}; "
            f"the release has {len(item_ids)}, id map {item_ids.fingerprint}.",
            "They belong to different releases. Run `dvc repro`, or check out one release.",
        )
    for entity in Entity:
        check_features(values, schemas.of(entity))


def _check_generation(values: ValueSource, computed: str) -> None:
    if computed != values.generation_id:
        raise not_the_generation(computed, values.generation_id)


def _progress(values: ValueSource) -> Progress:
    total, name = sum(values.counts.values()), f"publish {values.generation_id}"
    return Progress(total=total, desc=name, unit="value", unit_scale=True)


def _read_ahead(batches: Iterator[list[Bucket]]) -> Iterator[list[Bucket]]:
    """The batches; the next one is made while the last one is used."""
    with ThreadPoolExecutor(1, "read-ahead") as thread:
        coming = thread.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = thread.submit(next, batches, None)
            yield batch


def _write_and_verify(client: redis.Redis, batch: list[Bucket]) -> None:
    """Make the store hold the batch: read, written where it differs, and then read again."""
    stored = _read_buckets(client, batch) if _any_there(client, batch) else [StoredFields() for _ in batch]
    differing = [(bucket, fields) for bucket, fields in zip(batch, stored, strict=True) if fields != bucket.fields]
    _write_differing(client, differing)
    written = [bucket for bucket, _ in differing]
    wrong = [
        bucket.key
        for bucket, fields in zip(written, _read_buckets(client, written), strict=True)
        if fields != bucket.fields
    ]
    if wrong:
        raise _incomplete(f"{len(wrong)} of {len(written)} hashes just written are not there, among them {wrong[0]}")


def _any_there(client: redis.Redis, batch: list[Bucket]) -> bool:
    with mapped_errors():
        return bool(client.exists(*(bucket.key for bucket in batch)))


def _read_buckets(client: redis.Redis, batch: list[Bucket]) -> list[StoredFields | None]:
    """What is stored of each bucket; None where the key holds something that is no hash."""
    commands: list[Command] = [
        ("HGETALL", bucket.key) if bucket.whole else ("HMGET", bucket.key, *bucket.fields) for bucket in batch
    ]
    with mapped_errors():
        answers = send_pipelined(client, commands)
        return [_stored_fields(bucket, answer) for bucket, answer in zip(batch, answers, strict=True)]


def _stored_fields(bucket: Bucket, answer: Any) -> StoredFields | None:
    if isinstance(answer, ResponseError) and str(answer).startswith("WRONGTYPE"):
        return None
    if isinstance(answer, ResponseError):
        raise answer
    names, values = (answer[::2], answer[1::2]) if bucket.whole else (bucket.fields, answer)
    return dict(zip(names, values, strict=True))


def _write_differing(client: redis.Redis, differing: list[tuple[Bucket, StoredFields | None]]) -> None:
    """Set the right values first, then remove foreign ones: what is being read is never missing in between."""
    commands: list[Command] = []
    for bucket, fields in differing:
        if fields is None:
            commands.append(("DEL", bucket.key))
        stored = fields or {}
        missing = bucket.fields.items() - stored.items() if stored else bucket.fields.items()
        if missing:
            commands.append(("HSET", bucket.key, *chain.from_iterable(missing)))
        foreign = stored.keys() - bucket.fields.keys()
        if foreign:
            commands.append(("HDEL", bucket.key, *foreign))
    with mapped_errors():
        raise_refused(send_pipelined(client, commands))


def _write_and_verify_list(client: redis.Redis, key: str, firsts: list[str]) -> None:
    content = canonical_json(firsts)
    with mapped_errors():
        try:
            stored = client.get(key)
        except ResponseError:  # no string
            stored = None
        if stored != content:
            client.set(key, content)
            stored = client.get(key)
    if stored != content:
        raise _incomplete(f"{key}, just written, is not there")


def _incomplete(problem: str) -> PublishIncomplete:
    return PublishIncomplete(
        f"{problem}.",
        "Redis evicts keys (see its `maxmemory-policy`) or somebody clears it: mend that and run `dvc repro publish`.",
    )
