"""Who meets a damaged value says so where whoever repairs looks: values are counted often, and read as a whole seldom.

slate:{<app>}:damaged    hash: generation_id to the first damage that was met, in words; gone once the generation is
                         published anew, or collected
"""

from __future__ import annotations

from typing import cast

import redis

from feature_store.online.connection import mapped_errors
from feature_store.online.keys import damaged_key


def note_damage(client: redis.Redis, app: str, generation_id: str, words: str) -> None:
    """Note that a value of the generation is damaged; the first note stays."""
    with mapped_errors():
        client.hsetnx(damaged_key(app), generation_id, words)


def read_damage(client: redis.Redis, app: str, generation_id: str) -> str:
    """What was noted; empty where nothing was."""
    with mapped_errors():
        words = cast("bytes | None", client.hget(damaged_key(app), generation_id))
    return "" if words is None else words.decode(errors="replace")
