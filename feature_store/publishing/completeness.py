"""What the online store holds of a generation, counted against its receipt: a receipt alone proves nothing today.

Imports nothing heavy, for it is counted at every `dvc repro`. A million people are some 64,000 small questions, asked a
thousand at a time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import redis
from redis.exceptions import ResponseError

from contracts.errors import PublishIncomplete
from feature_store.online.connection import mapped_errors
from feature_store.online.damage import read_damage
from feature_store.online.keys import bucket_count, bucket_length, histories_key, items_key, users_key
from feature_store.online.pipelining import Command, send_pipelined
from feature_store.online.receipt import Receipt, read_receipt
from feature_store.publishing.stored_keys import KEYS_AT_ONCE

MENDS = "`slate sync` writes again what is served, and `dvc repro publish` what is in build/release."

KeyOf = Callable[[str, str, int | None], str]

KEYS_BESIDE_REQUESTS = 100  # asked about at once where somebody is served meanwhile: a millisecond of the interpreter


@dataclass(frozen=True)
class Shortage:
    """What a generation lacks. n_lists: of the two lists of where buckets begin; damage: met by a reader, in words.

    False where it lacks nothing.
    """

    receipt: Receipt
    n_users: int
    n_items: int
    n_histories: int
    n_lists: int
    damage: str

    def __bool__(self) -> bool:
        return bool(self.n_users or self.n_items or self.n_histories or self.n_lists or self.damage)

    def problem(self) -> PublishIncomplete:
        """The same as an error."""
        receipt = self.receipt
        counts = (
            (self.n_users, receipt.n_users, "people"),
            (self.n_items, receipt.n_items, "items"),
            (self.n_histories, receipt.n_histories, "histories"),
            (self.n_lists, 2, "lists of buckets"),
        )
        lacking = ", ".join(f"{n_missing:,} of {total:,} {what}" for n_missing, total, what in counts if n_missing)
        words = [f"lacks {lacking} in the online store"] if lacking else []
        words += [f"holds damage: {self.damage.rstrip('.')}"] if self.damage else []
        return PublishIncomplete(
            f"Generation {receipt.generation_id} {', and '.join(words)}.",
            f"{MENDS} Look for what took it away: Redis evicts keys (`slate doctor` says so), or somebody clears them.",
        )


def whole_receipt(client: redis.Redis, app: str, generation_id: str, release_id: str) -> Receipt | None:
    """The generation's receipt, where the store holds as much as it says; None otherwise."""
    receipt = read_receipt(client, app, generation_id, release_id)
    return None if receipt is None or count_shortage(client, app, receipt) else receipt


def is_published(client: redis.Redis, app: str, receipt: Receipt) -> bool:
    """Whether the store still holds what the receipt says."""
    return whole_receipt(client, app, receipt.generation_id, receipt.release_id) == receipt


def missing_values(
    client: redis.Redis, app: str, generation_id: str, release_id: str, pause: Callable[[], object] | None = None
) -> PublishIncomplete | None:
    """Why a generation that is served is not wholly in the store; None where it is. Raises StoreError.

    pause: called between small questions, by whoever counts beside requests.
    """
    receipt = read_receipt(client, app, generation_id, release_id)
    if receipt is None:
        return PublishIncomplete(f"Generation {generation_id} has no receipt in the online store.", MENDS)
    shortage = count_shortage(client, app, receipt, pause)
    return shortage.problem() if shortage else None


def count_shortage(
    client: redis.Redis, app: str, receipt: Receipt, pause: Callable[[], object] | None = None
) -> Shortage:
    """What is missing of what the receipt says; raises StoreError. pause: as of `missing_values`."""
    generation_id = receipt.generation_id
    with mapped_errors():
        people = [
            _n_missing(client, _bucket_lengths(app, generation_id, key_of, n_people), pause)
            for key_of, n_people in ((users_key, receipt.n_users), (histories_key, receipt.n_histories))
        ]
        (n_items,) = _lengths(client, [items_key(app, generation_id)])
        n_lists = sum(
            not _is_list_of_buckets(client, key_of(app, generation_id), bucket_count(n_people))
            for key_of, n_people in ((users_key, receipt.n_users), (histories_key, receipt.n_histories))
        )
    damage = read_damage(client, app, generation_id)
    return Shortage(receipt, people[0], max(receipt.n_items - n_items, 0), people[1], n_lists, damage)


def _bucket_lengths(app: str, generation_id: str, key_of: KeyOf, n_people: int) -> Iterator[tuple[str, int]]:
    for bucket in range(bucket_count(n_people)):
        yield key_of(app, generation_id, bucket), bucket_length(n_people, bucket)


def _n_missing(client: redis.Redis, expected: Iterator[tuple[str, int]], pause: Callable[[], object] | None) -> int:
    at_once = KEYS_AT_ONCE if pause is None else KEYS_BESIDE_REQUESTS
    n_missing = 0
    while some := list(islice(expected, at_once)):
        lengths = _lengths(client, [key for key, _ in some])
        n_missing += sum(max(length - stored, 0) for (_, length), stored in zip(some, lengths, strict=True))
        if pause is not None:
            pause()
    return n_missing


def _lengths(client: redis.Redis, keys: Sequence[str]) -> list[int]:
    """How many fields each hash has; 0 where there is none, or something else."""
    commands: list[Command] = [("HLEN", key) for key in keys]
    return [0 if _is_of_another_type(answer) else int(answer) for answer in send_pipelined(client, commands)]


def _is_of_another_type(answer: Any) -> bool:
    if not isinstance(answer, ResponseError):
        return False
    if not str(answer).startswith("WRONGTYPE"):
        raise answer
    return True


def _is_list_of_buckets(client: redis.Redis, key: str, n_buckets: int) -> bool:
    (content,) = send_pipelined(client, [("GET", key)])
    if content is None or _is_of_another_type(content):
        return False
    try:
        firsts = json.loads(content)
    except ValueError:
        return False
    return isinstance(firsts, list) and len(firsts) == n_buckets
