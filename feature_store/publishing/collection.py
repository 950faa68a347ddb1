"""Collection: generations that nothing refers to leave the online store, in steps that can be stopped anywhere.

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
from itertools import islice
from typing import Any, cast

import redis

from feature_store.online.connection import mapped_errors
from feature_store.online.keys import (
    bucket_count,
    canary_key,
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
from feature_store.publishing.turn_taking import TURN_MS, Turn, taking_turns

POINTERS = {"served": pointer_key, "in Staging": staging_key, "a canary's": canary_key}

# KEYS: turn, the generation's receipts of both formats, pointers. ARGV: the turn's value, generation id.
# Gives 0 when the turn was lost, else the number of the pointer that names the generation, or -1 when it may go. A
# pointer that cannot be read may name anything.
_RETIRE = """
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
# KEYS: turn, list of generations. ARGV: the turn's value, generation id.
_STRIKE = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end redis.call('HDEL', KEYS[2], ARGV[2]) return 1"


@dataclass(frozen=True)
class Collected:
    """A generation that is gone. release_id: None where the list did not know it."""

    generation_id: str
    release_id: str | None
    n_keys: int


@dataclass(frozen=True)
class Kept:
    """A generation that stays, and why."""

    generation_id: str
    release_id: str | None
    why: str


@dataclass(frozen=True)
class Collection:
    """What one collection did."""

    collected: tuple[Collected, ...]
    kept: tuple[Kept, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def collect(
    client: redis.Redis,
    app: str,
    keep: Mapping[str, str],
    grace: timedelta,
    batch_size: int,
    turn_ms: int = TURN_MS,
) -> Collection:
    """Remove every generation that no pointer names, that is not to be kept, and that is older than the grace.

    keep: generation ids, each with why. grace: what was published (or begun and not finished) less than this ago may be
    about to be promoted. batch_size: keys removed in one command.
    Raises PublishIncomplete when the turn was lost, StoreError when the store refuses; what is served stays either way.
    """
    done: list[Collected | Kept] = []
    with taking_turns(client, app, turn_ms) as turn:
        collector = _Collector(client, app, turn, batch_size)
        now, listed = _server_time(node_of(client, turn.key)), list_generations(client, app)
        for entry in listed:
            why = keep.get(entry.generation_id) or _why_spared(entry, now, grace)
            done.append(collector.collect(entry.generation_id, entry.release_id, why, _keys_of(app, entry)))
        for generation_id in sorted(find_strays(client, app, batch_size) - {entry.generation_id for entry in listed}):
            keys = _stray_keys(client, app, generation_id, batch_size)
            done.append(collector.collect(generation_id, None, keep.get(generation_id), keys))
    return Collection(
        tuple(one for one in done if isinstance(one, Collected)), tuple(one for one in done if isinstance(one, Kept))
    )


def find_strays(client: redis.Redis, app: str, batch_size: int) -> set[str]:
    """Generations that have keys and are not on the list; batch_size: keys looked at in one command."""
    with mapped_errors():
        listed = {generation_id.decode() for generation_id in cast("list[bytes]", client.hkeys(generations_key(app)))}
    there = {_generation_of(app, key) for key in _all_keys(client, app, batch_size)}
    return {generation_id for generation_id in there if generation_id} - listed


class _Collector:
    """Removes things, as long as the turn is held."""

    def __init__(self, client: redis.Redis, app: str, turn: Turn, batch_size: int) -> None:
        self._client = client
        self._app = app
        self._turn = turn
        self._batch_size = batch_size

    def collect(
        self, generation_id: str, release_id: str | None, why_kept: str | None, keys: Iterator[str]
    ) -> Collected | Kept:
        """Remove one generation, its keys and its entry, unless there is a reason to keep it or a pointer names it."""
        why = why_kept or self._retire(generation_id)
        if why:
            return Kept(generation_id, release_id, why)
        n_keys = self._remove(keys)
        self._strike(generation_id)
        return Collected(generation_id, release_id, n_keys)

    def _retire(self, generation_id: str) -> str | None:
        """Take the receipt away, unless a pointer names the generation: then say which."""
        receipts = [of_format(self._app, generation_id) for of_format in (receipt_key, first_format_receipt_key)]
        keys = [self._turn.key, *receipts, *(key(self._app) for key in POINTERS.values())]
        with mapped_errors():
            verdict = int(cast("int", self._client.eval(_RETIRE, len(keys), *keys, self._turn.value, generation_id)))
        if verdict == 0:
            raise self._turn.lost()
        return None if verdict < 0 else list(POINTERS)[verdict - 1]

    def _remove(self, keys: Iterator[str]) -> int:
        """Remove keys, some at a time; returns how many were there."""
        n_removed = 0
        while batch := list(islice(keys, self._batch_size)):
            self._turn.renew()
            with mapped_errors():
                n_removed += int(self._client.unlink(*batch))  # frees them beside the requests
        return n_removed

    def _strike(self, generation_id: str) -> None:
        """Take a generation off the list."""
        keys = [self._turn.key, generations_key(self._app)]
        with mapped_errors():
            if not self._client.eval(_STRIKE, 2, *keys, self._turn.value, generation_id):
                raise self._turn.lost()


def _why_spared(entry: ListedGeneration, now: datetime, grace: timedelta) -> str | None:
    since = entry.published or entry.started
    if now - since >= grace:
        return None
    return f"{'published' if entry.published else 'begun'} at {since:%Y-%m-%d %H:%M} UTC, within the grace"


def _keys_of(app: str, entry: ListedGeneration) -> Iterator[str]:
    """The keys of a generation but its receipts; those of people by their number."""
    generation_id = entry.generation_id
    yield from (users_key(app, generation_id, bucket) for bucket in range(bucket_count(entry.n_users)))
    yield from (histories_key(app, generation_id, bucket) for bucket in range(bucket_count(entry.n_histories)))
    yield from (key(app, generation_id) for key in (users_key, histories_key, items_key))


def _stray_keys(client: redis.Redis, app: str, generation_id: str, batch_size: int) -> Iterator[str]:
    return (key for key in _all_keys(client, app, batch_size) if _generation_of(app, key) == generation_id)


def _all_keys(client: redis.Redis, app: str, batch_size: int) -> Iterator[str]:
    with mapped_errors():
        for key in client.scan_iter(match=f"slate:{{{app}}}:*", count=batch_size):
            yield key.decode(errors="replace")


def _generation_of(app: str, key: str) -> str | None:
    """Which generation a key belongs to, in this format (`keys`) or the first (a key per person and item)."""
    found = re.fullmatch(rf"slate:\{{{app}\}}:(?:v\d+:)?([0-9a-f]{{16}}):(?:receipt|[uhi](?::.*)?)", key, re.DOTALL)
    return found and found[1]


def _server_time(client: redis.Redis) -> datetime:
    with mapped_errors():
        seconds, microseconds = client.time()
    return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)
