"""Does a generation fit into the memory of the online store? Checked before the first write: a store that runs full, or
evicts keys to make room, takes away what is being served.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl
import redis

from contracts.errors import StoreError
from contracts.features import Entity
from feature_store.online.connection import mapped_errors
from feature_store.online.keys import BUCKET_SIZE, bucket_count, items_key, receipt_key
from feature_store.online.nodes import node_of
from feature_store.online.packed_older import LONGEST
from feature_store.online.packing import EVENT, HEADER, SEAL
from feature_store.publishing.stored_keys import bucket_keys, count_existing
from feature_store.server.server_program import COMPACT_BUCKET_ENTRIES, COMPACT_VALUE_BYTES
from feature_store.values.generation_digest import HISTORIES_AT_ONCE, ROWS_AT_ONCE
from feature_store.values.value_source import OLDER_EVENT_TS, ValueSource

# What Redis adds to the bytes of one field of a hash, by how the hash is kept, with what its allocator rounds up; and
# to each key. Upper ends of what `python -m bench.publish --layouts` measures on Redis 6.2 and 7.
COMPACT_FIELD_BYTES = 32
TABLE_FIELD_BYTES = 80
KEY_BYTES = 200
OLDER_BYTES = 2 * LONGEST  # of an event that a history does not hold, at most
OVERHEAD_BYTES = HEADER.size + SEAL.size  # of a packed value


@dataclass(frozen=True)
class Memory:
    """How much a store has, in bytes. limit: `maxmemory`, or the machine's memory where that is 0."""

    used: int
    limit: int
    policy: str
    is_capped: bool

    @property
    def free(self) -> int:
        return max(self.limit - self.used, 0)

    @property
    def evicts(self) -> bool:
        """Whether it may throw away values of ours to make room."""
        return self.policy.startswith("allkeys")


@dataclass(frozen=True)
class GenerationSize:
    """How large a generation is. *_bytes: of the ids, and of the values as they are packed."""

    n_users: int
    n_items: int
    n_histories: int
    user_bytes: int
    item_bytes: int
    history_bytes: int

    @property
    def n_buckets(self) -> int:
        return bucket_count(self.n_users) + bucket_count(self.n_histories)


def read_memory(client: redis.Redis) -> Memory:
    """What the store says of its memory."""
    with mapped_errors():
        info = client.info("memory")
    cap = int(info["maxmemory"])
    return Memory(int(info["used_memory"]), cap or int(info["total_system_memory"]), info["maxmemory_policy"], cap > 0)


def keeps_hashes_compact(client: redis.Redis) -> bool:
    """Whether the store keeps a bucket of rows as one block of bytes; False too where it does not tell."""
    try:
        with mapped_errors():
            settings = client.config_get("hash-max-*")
    except StoreError:
        return False  # managed servers forbid CONFIG
    return (
        _largest_setting(settings, "entries") >= BUCKET_SIZE
        and _largest_setting(settings, "value") >= COMPACT_VALUE_BYTES
    )


def settings_advice(client: redis.Redis) -> tuple[str, str]:
    """What a server's settings do to published values, and what to type about it; that is empty when all is well."""
    memory, compact = read_memory(client), keeps_hashes_compact(client)
    effects = [f"maxmemory-policy {memory.policy}" + (", which may evict what is served" if memory.evicts else "")]
    settings = ["maxmemory-policy noeviction"] if memory.evicts else []
    if compact:
        effects.append("people's rows are kept compact")
    else:
        more = TABLE_FIELD_BYTES - COMPACT_FIELD_BYTES
        effects.append(f"hash-max settings are unknown or small, which costs some {more} bytes more a person")
        settings += [
            f"hash-max-ziplist-entries {COMPACT_BUCKET_ENTRIES}",
            f"hash-max-ziplist-value {COMPACT_VALUE_BYTES}",
        ]
    commands = "; ".join(f"`redis-cli config set {setting}`" for setting in settings)
    advice = f"Set {commands}, and the same in its configuration file." if settings else ""
    return "; ".join(effects), advice


def generation_size(source: ValueSource) -> GenerationSize:
    """How large the values of a source are, from their ids, counts and lengths."""
    widths = {entity: OVERHEAD_BYTES + 4 * len(source.feature_names(entity)) for entity in Entity}
    n_users, n_items, n_histories = (source.counts[name] for name in ("n_users", "n_items", "n_histories"))
    n_events = _total_size(source, "event_ts")
    n_older = _total_size(source, OLDER_EVENT_TS) if source.has_older_events else 0
    return GenerationSize(
        n_users,
        n_items,
        n_histories,
        user_bytes=_id_bytes(source, Entity.USER) + n_users * widths[Entity.USER],
        item_bytes=_id_bytes(source, Entity.ITEM) + n_items * widths[Entity.ITEM],
        history_bytes=_total_size(source, "user_id")
        + n_histories * OVERHEAD_BYTES
        + n_events * EVENT.itemsize
        + n_older * OLDER_BYTES,
    )


def bytes_needed(size: GenerationSize, *, compact: bool) -> int:
    """The memory that a generation takes in Redis, at most; compact: see `keeps_hashes_compact`."""
    row = COMPACT_FIELD_BYTES if compact else TABLE_FIELD_BYTES
    values = size.user_bytes + size.item_bytes + size.history_bytes
    fields = size.n_users * row + (size.n_items + size.n_histories) * TABLE_FIELD_BYTES
    return values + values // 16 + fields + (size.n_buckets + 5) * KEY_BYTES


def check_memory(client: redis.Redis, app: str, generation_id: str, size: GenerationSize) -> None:
    """Raise StoreError, with what is free and what is needed, when the rest of a generation would not fit."""
    node = node_of(client, receipt_key(app, generation_id))
    memory = read_memory(node)
    whole = bytes_needed(size, compact=keeps_hashes_compact(node))
    needed = round(whole * (1 - _share_stored(client, app, generation_id, size)))
    if needed <= memory.free:
        return
    raise StoreError(
        f"Redis has {_mib(memory.free)} free ({_mib(memory.used)} of {_limit_in_words(memory)} used); "
        f"generation {generation_id} needs {_mib(needed)} more. {_consequence(memory)}",
        f"Raise it (`redis-cli config set maxmemory {memory.used + needed}`), or make room: `slate collect` removes "
        "generations that nothing refers to. Nothing was written.",
    )


def _share_stored(client: redis.Redis, app: str, generation_id: str, size: GenerationSize) -> float:
    """How much of a generation is in the store already, by its keys."""
    buckets = bucket_keys(app, generation_id, size.n_users, size.n_histories)
    keys = [*buckets, items_key(app, generation_id)]
    return count_existing(client, keys) / len(keys)


def _consequence(memory: Memory) -> str:
    if memory.evicts:
        return f"With `maxmemory-policy {memory.policy}` it would evict what is being served."
    if memory.policy == "noeviction":
        return "It would run out of memory in the middle."
    return (
        f"With `maxmemory-policy {memory.policy}` it would forget sessions, and then run out of memory in the middle."
    )


def _limit_in_words(memory: Memory) -> str:
    return f"{_mib(memory.limit)} {'maxmemory' if memory.is_capped else 'of the machine (maxmemory 0)'}"


def _mib(n_bytes: int) -> str:
    return f"{n_bytes / 2**20:,.1f} MiB"


def _id_bytes(source: ValueSource, entity: Entity) -> int:
    key = f"{entity}_id"
    return sum(int(batch[key].str.len_bytes().sum()) for batch in source.batches(entity.value, ROWS_AT_ONCE, [key]))


def _total_size(source: ValueSource, column: str) -> int:
    size = pl.col("user_id").str.len_bytes() if column == "user_id" else pl.col(column).list.len()
    batches = source.batches("history", HISTORIES_AT_ONCE, [column])
    return sum(int(batch.select(size).sum().item()) for batch in batches)


def _largest_setting(settings: Mapping[str | None, str | None], what: str) -> int:
    """Of the two names that a setting has: `ziplist` until Redis 6.2, `listpack` since 7."""
    return max((int(value or 0) for name, value in settings.items() if str(name).endswith(f"-{what}")), default=0)
