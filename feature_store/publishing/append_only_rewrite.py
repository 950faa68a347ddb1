"""Rewriting a Redis' append-only file that a publish has made grow, so that Redis does not do it later, under traffic.

By itself Redis rewrites its file once that has doubled: minutes after values were published, when servers answer by
them, a child of it takes a core for seconds. Whoever publishes waits for that instead, before anything is switched.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any, Final

import redis

from contracts.errors import StoreError
from contracts.progress import Progress
from feature_store.online.connection import mapped_errors
from feature_store.online.keys import pointer_key
from feature_store.online.nodes import node_of

LEAST_GROWTH: Final = 64 * 2**20  # bytes; what is less is rewritten in a fraction of a second whenever Redis does it
LEAST_SHARE: Final = 1 / 4  # of the file as it was written last: a publish adds that much where three generations stay
POLL_S: Final = 0.05


def rewrite_append_only(client: redis.Redis, app: str) -> bool:
    """Have the server that holds this application rewrite its append-only file, and wait; whether it did.

    Nothing is done where it has no such file, or where that has grown little since it was written last. Nothing is lost
    by it: the old file stays until the new one is whole. A server that does not let us is left as it is, which is said
    on stderr: all that was published is there.
    """
    try:
        with mapped_errors():
            node = node_of(client, pointer_key(app))
            persistence = node.info("persistence")
            if not _has_grown(persistence):
                return False
            if not _is_rewriting(persistence):
                node.bgrewriteaof()
            return _wait_until_rewritten(node)
    except StoreError as error:
        _tell(f"{error.problem.rstrip('.')}. It does so by itself, maybe under load.")
        return False


def _has_grown(persistence: Mapping[str, Any]) -> bool:
    """Whether there is a file, and much in it that a rewrite leaves out or keeps in less."""
    if not persistence["aof_enabled"]:
        return False
    base = persistence["aof_base_size"]
    return bool(persistence["aof_current_size"] - base >= max(LEAST_GROWTH, LEAST_SHARE * base))


def _is_rewriting(persistence: Mapping[str, Any]) -> bool:
    """A rewrite is scheduled where a dump is under way."""
    return bool(persistence["aof_rewrite_in_progress"] or persistence["aof_rewrite_scheduled"])


def _wait_until_rewritten(node: redis.Redis) -> bool:
    with Progress(desc="rewrite of Redis' append-only file", unit="key", unit_scale=True) as progress:
        while _is_rewriting(persistence := node.info("persistence")):
            # Named since 6.2; a compatible server may not tell.
            progress.total = persistence.get("current_save_keys_total") or None
            progress.update(persistence.get("current_save_keys_processed", 0) - progress.n)
            time.sleep(POLL_S)
    if persistence["aof_last_bgrewrite_status"] != "ok":
        _tell("the rewrite failed, see its log. It tries again by itself, maybe under load.")
        return False
    return True


def _tell(what: str) -> None:
    sys.stderr.write(f"Redis did not rewrite its append-only file: {what}\n")
