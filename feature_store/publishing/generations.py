"""The list of generations: everything that was ever written to the online store of an application, until collected.

A hash, by generation id; each entry is JSON: {"format_version", "n_histories", "n_items", "n_users", "published_ms",
"release_id", "started_ms"}. The entry is there before the first value, so that nothing is ever written that cannot be
found again, and goes after the last one. Times are the server's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import redis

from contracts.errors import StoreError
from feature_store.online.connection import mapped_errors
from feature_store.online.keys import FORMAT_VERSION, damaged_key, generations_key, receipt_key
from feature_store.online.receipt import Receipt
from feature_store.publishing.write_lease import WriteLease

# KEYS: lease, generations[, receipt, damaged].
# ARGV: the lease's value, generation id, entry as JSON[, receipt as JSON].
_ENTER_GENERATION = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local now = redis.call('TIME')
local entry = cjson.decode(ARGV[3])
local stored = redis.call('HGET', KEYS[2], ARGV[2])
local known, before = pcall(cjson.decode, stored or '')
entry['started_ms'] = now[1] * 1000 + math.floor(now[2] / 1000)
entry['published_ms'] = cjson.null
if ARGV[4] then
    entry['published_ms'] = entry['started_ms']
    if known and type(before) == 'table' then entry['started_ms'] = before['started_ms'] or entry['started_ms'] end
    redis.call('SET', KEYS[3], ARGV[4])
    redis.call('HDEL', KEYS[4], ARGV[2])
elseif known and type(before) == 'table' then
    entry['published_ms'] = before['published_ms'] or cjson.null
end
redis.call('HSET', KEYS[2], ARGV[2], cjson.encode(entry))
return 1
"""


@dataclass(frozen=True)
class ListedGeneration:
    """One entry. published: None where it was begun and never finished."""

    generation_id: str
    release_id: str
    n_users: int
    n_items: int
    n_histories: int
    started: datetime
    published: datetime | None


def list_generations(client: redis.Redis, app: str) -> list[ListedGeneration]:
    """Every generation that anything was written for, the one begun last at the end."""
    with mapped_errors():
        entries = cast("dict[bytes, bytes]", client.hgetall(generations_key(app)))
    listed = [_parsed_entry(app, generation_id.decode(), content) for generation_id, content in entries.items()]
    return sorted(listed, key=lambda entry: (entry.started, entry.generation_id))


def enter_generation(
    client: redis.Redis, app: str, lease: WriteLease, release_id: str, generation_id: str, counts: Mapping[str, int]
) -> None:
    """List a generation before anything of it is written; raises PublishIncomplete when the lease was lost."""
    _enter(client, lease, [lease.key, generations_key(app)], [generation_id, _entry(release_id, counts)])


def publish_receipt(client: redis.Redis, app: str, lease: WriteLease, receipt: Receipt) -> None:
    """Say that a generation is wholly there; raises PublishIncomplete, and says nothing, when the lease was lost."""
    counts = {"n_users": receipt.n_users, "n_items": receipt.n_items, "n_histories": receipt.n_histories}
    keys = [lease.key, generations_key(app), receipt_key(app, receipt.generation_id), damaged_key(app)]
    _enter(client, lease, keys, [receipt.generation_id, _entry(receipt.release_id, counts), receipt.in_store()])


def _enter(client: redis.Redis, lease: WriteLease, keys: list[str], arguments: list[str | bytes]) -> None:
    with mapped_errors():
        entered = client.eval(_ENTER_GENERATION, len(keys), *keys, lease.value, *arguments)
    if not entered:
        raise lease.lost()


def _entry(release_id: str, counts: Mapping[str, int]) -> str:
    return json.dumps({"format_version": FORMAT_VERSION, "release_id": release_id, **counts})


def _parsed_entry(app: str, generation_id: str, content: bytes) -> ListedGeneration:
    try:
        entry = json.loads(content)
        published = entry["published_ms"]
        return ListedGeneration(
            generation_id,
            entry["release_id"],
            n_users=int(entry["n_users"]),
            n_items=int(entry["n_items"]),
            n_histories=int(entry["n_histories"]),
            started=_utc_time(entry["started_ms"]),
            published=None if published is None else _utc_time(published),
        )
    except (ValueError, TypeError, KeyError) as error:
        key = generations_key(app)
        raise StoreError(
            f"The entry of generation {generation_id} in {key} is {content!r}, which is none of this Slatework.",
            f"Remove it with `redis-cli hdel '{key}' '{generation_id}'`; `slate collect` finds what it stood for.",
        ) from error


def _utc_time(milliseconds: float) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
