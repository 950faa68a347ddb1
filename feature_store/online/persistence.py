"""What of a Redis outlives it."""

from __future__ import annotations

from dataclasses import dataclass

import redis

from feature_store.online.connection import mapped_errors


@dataclass(frozen=True)
class Persistence:
    """appends: every write goes to an append-only file. can_write: the last write came to its disk."""

    appends: bool
    can_write: bool


def read_persistence(client: redis.Redis) -> Persistence:
    """What a server says of itself. Raises StoreError."""
    with mapped_errors():
        info = client.info("persistence")
    return Persistence(bool(info["aof_enabled"]), info["aof_last_write_status"] == "ok")
