"""The keys that a generation has in the online store, and how many of them are there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import redis

from feature_store.online.connection import mapped_errors
from feature_store.online.keys import bucket_count, histories_key, users_key

KEYS_AT_ONCE = 1000  # some milliseconds of the server's time


def bucket_keys(app: str, generation_id: str, n_users: int, n_histories: int) -> Iterator[str]:
    """The keys of all buckets: of the rows of so many people, then of so many histories."""
    yield from (users_key(app, generation_id, bucket) for bucket in range(bucket_count(n_users)))
    yield from (histories_key(app, generation_id, bucket) for bucket in range(bucket_count(n_histories)))


def count_existing(client: redis.Redis, keys: Sequence[str]) -> int:
    """How many of the keys are in the store."""
    with mapped_errors():
        return sum(
            int(client.exists(*keys[start : start + KEYS_AT_ONCE])) for start in range(0, len(keys), KEYS_AT_ONCE)
        )
