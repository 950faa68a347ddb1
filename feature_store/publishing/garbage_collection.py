"""Garbage collection: generations that nothing refers to leave the online store, in steps that can be stopped anywhere.

First the receipt goes, in one script with the look at every pointer: no pointer names the generation then, and none can
move to it any more, for that needs the receipt. Then its keys go, some at a time, and last its entry in the list of
generations: whoever is killed in between leaves the entry, and the next one goes on from it.

What is not on the list (an older format, a list that was lost) is found by looking through all keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import redis

from contracts.batches import batches_of
from feature_store.online.connection import mapped_errors
from feature_store.online.keys import (
    canary_key,
    damaged_key,
    first_format_receipt_key,
    generations_key,
    histories_key,
    items_key,
    pointer_key,
    receipt_key,
    staging_key,
    users_key,
)
from feature_store.online.nodes import node_of
from feature_store.publishing.generations import ListedGeneration, list_generations
from feature_store.publishing.stored_keys import KEYS_AT_ONCE, bucket_keys
from feature_store.publishing.write_lease import LEASE_MS, WriteLease, hold_write_lease

POINTERS = {"served": pointer_key, "in Staging": staging_key, "a canary's": canary_key}

# KEYS: lease, the generation's receipts of both formats, pointers. ARGV: the lease's value, generation id.
# Gives 0 when the lease was lost, else the number of the pointer that names the generation, or -1 when it may go. A
# pointer that cannot be read may name anything.
_REMOVE_RECEIPT = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
for number = 4, #KEYS do
    local content = redis.call('GET', KEYS[number])
    if content then
        local readable, pointer = pcall(cjson.decode, content)
        local named = readable and type(pointer) == 'table' and pointer['generation_id']
        if type(named) ~= 'string' or named == ARGV[2] then return number - 3 end
    end
end
redis.call('DEL', KEYS[2], KEYS[3])
return -1
"""
# KEYS: lease, list of generations, damaged ones. ARGV: the lease's value, generation id.
_UNLIST = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[2], ARGV[2])
redis.call('HDEL', KEYS[3], ARGV[2])
return 1
"""


@dataclass(frozen=True)
class RemovedGeneration:
    """A generation that is gone. release_id: None where the list did not know it."""

    generation_id: str
    release_id: str | None
    n_keys: int


@dataclass(frozen=True)
class KeptGeneration:
    """A generation that stays, and why."""

    generation_id: str
    release_id: str | None
    why: str


@dataclass(frozen=True)
class GarbageCollection:
    """What one run removed and what it left."""

    removed: tuple[RemovedGeneration, ...]
    kept: tuple[KeptGeneration, ...]

    def to_json(self) -> dict[str, Any]:
        return {"collected": [asdict(one) for one in self.removed], "kept": [asdict(one) for one in self.kept]}


def collect_garbage(
    client: redis.Redis,
    app: str,
    keep: Mapping[str, str],
    grace: timedelta,
    batch_size: int = KEYS_AT_ONCE,
    lease_ms: int = LEASE_MS,
) -> GarbageCollection:
    """Remove every generation that no pointer names, that is not to be kept, and that is older than the grace.

    keep: generation ids, each with why. grace: what was published (or begun and not finished) less than this ago may be
    about to be promoted. batch_size: keys removed in one command.
    Raises PublishIncomplete when the lease was lost, StoreError when the store refuses. What is served stays.
    """
    outcomes: list[RemovedGeneration | KeptGeneration] = []
    with hold_write_lease(client, app, lease_ms) as lease:
        remover = _Remover(client, app, lease, batch_size)
        now, listed = _server_time(node_of(client, lease.key)), list_generations(client, app)
        for entry in listed:
            why = keep.get(entry.generation_id) or _why_spared(entry, now, grace)
            outcomes.append(remover.remove(entry.generation_id, entry.release_id, why, _keys_of(app, entry)))
        for generation_id in sorted(
            unlisted_generations(client, app, batch_size) - {entry.generation_id for entry in listed}
        ):
            keys = _unlisted_keys(client, app, generation_id, batch_size)
            outcomes.append(remover.remove(generation_id, None, keep.get(generation_id), keys))
    return GarbageCollection(
        tuple(one for one in outcomes if isinstance(one, RemovedGeneration)),
        tuple(one for one in outcomes if isinstance(one, KeptGeneration)),
    )


def unlisted_generations(client: redis.Redis, app: str, batch_size: int) -> set[str]:
    """Generations that have keys and are not on the list; batch_size: keys looked at in one command."""
    with mapped_errors():
        listed = {generation_id.decode() for generation_id in cast("list[bytes]", client.hkeys(generations_key(app)))}
    stored = {_generation_of(app, key) for key in _all_keys(client, app, batch_size)}
    return {generation_id for generation_id in stored if generation_id} - listed


class _Remover:
    """Removes things, as long as the lease is held."""

    def __init__(self, client: redis.Redis, app: str, lease: WriteLease, batch_size: int) -> None:
        self._client = client
        self._app = app
        self._lease = lease
        self._batch_size = batch_size

    def remove(
        self, generation_id: str, release_id: str | None, why_kept: str | None, keys: Iterator[str]
    ) -> RemovedGeneration | KeptGeneration:
        """Remove one generation, its keys and its entry, unless there is a reason to keep it or a pointer names it."""
        why = why_kept or self._remove_receipt(generation_id)
        if why:
            return KeptGeneration(generation_id, release_id, why)
        n_keys = self._unlink(keys)
        self._unlist(generation_id)
        return RemovedGeneration(generation_id, release_id, n_keys)

    def _remove_receipt(self, generation_id: str) -> str | None:
        """Take the receipt away, unless a pointer names the generation: then say which."""
        receipts = [of_format(self._app, generation_id) for of_format in (receipt_key, first_format_receipt_key)]
        keys = [self._lease.key, *receipts, *(key(self._app) for key in POINTERS.values())]
        with mapped_errors():
            verdict = int(
                cast("int", self._client.eval(_REMOVE_RECEIPT, len(keys), *keys, self._lease.value, generation_id))
            )
        if verdict == 0:
            raise self._lease.lost()
        return None if verdict < 0 else list(POINTERS)[verdict - 1]

    def _unlink(self, keys: Iterator[str]) -> int:
        """Remove keys, some at a time; returns how many were there."""
        n_removed = 0
        for batch in batches_of(keys, self._batch_size):
            self._lease.renew()
            with mapped_errors():
                n_removed += int(self._client.unlink(*batch))  # frees them beside the requests
        return n_removed

    def _unlist(self, generation_id: str) -> None:
        """Take a generation off the list."""
        keys = [self._lease.key, generations_key(self._app), damaged_key(self._app)]
        with mapped_errors():
            if not self._client.eval(_UNLIST, 3, *keys, self._lease.value, generation_id):
                raise self._lease.lost()


def _why_spared(entry: ListedGeneration, now: datetime, grace: timedelta) -> str | None:
    since = entry.published or entry.started
    if now - since >= grace:
        return None
    return f"{'published' if entry.published else 'begun'} at {since:%Y-%m-%d %H:%M} UTC, within the grace"


def _keys_of(app: str, entry: ListedGeneration) -> Iterator[str]:
    """The keys of a generation but its receipts; those of people by their number."""
    generation_id = entry.generation_id
    yield from bucket_keys(app, generation_id, entry.n_users, entry.n_histories)
    yield from (key(app, generation_id) for key in (users_key, histories_key, items_key))


def _unlisted_keys(client: redis.Redis, app: str, generation_id: str, batch_size: int) -> Iterator[str]:
    return (key for key in _all_keys(client, app, batch_size) if _generation_of(app, key) == generation_id)


def _all_keys(client: redis.Redis, app: str, batch_size: int) -> Iterator[str]:
    with mapped_errors():
        for key in client.scan_iter(match=f"slate:{{{app}}}:*", count=batch_size):
            yield key.decode(errors="replace")


def _generation_of(app: str, key: str) -> str | None:
    """Which generation a key belongs to, in this format (`keys`) or the first (a key per person and item)."""
    match = re.fullmatch(rf"slate:\{{{app}\}}:(?:v\d+:)?([0-9a-f]{{16}}):(?:receipt|[uhi](?::.*)?)", key, re.DOTALL)
    return match and match[1]


def _server_time(client: redis.Redis) -> datetime:
    with mapped_errors():
        seconds, microseconds = client.time()
    return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)
