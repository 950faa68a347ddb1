"""The receipt of a generation: it is wholly in the online store.

Imports nothing heavy, for the check runs at every `dvc repro`.

In the store a receipt is JSON: {"checksum", "format_version", "n_histories", "n_items", "n_users"}. It is written after
every value was read back and compared, so after a flush, or a restart from a dump of before, both are gone. Values may
go alone all the same (evicted, deleted): then there is less than the receipt says. It names no release: two releases
may share a generation.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, cast

import redis

from contracts.errors import StoreError
from contracts.fingerprint import canonical_json
from feature_store.online.connection import mapped_errors
from feature_store.online.keys import FORMAT_VERSION, receipt_key


@dataclass(frozen=True)
class Receipt:
    """What was published for a release.

    checksum: of the ids and values as stored: people, items, histories, each in the order of their ids.
    """

    release_id: str
    generation_id: str
    n_users: int
    n_items: int
    n_histories: int
    checksum: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Receipt:
        return cls(**value)

    def in_store(self) -> bytes:
        """The receipt as the store keeps it."""
        content = {name: value for name, value in asdict(self).items() if name not in ("release_id", "generation_id")}
        return canonical_json({"format_version": FORMAT_VERSION, **content})


def read_receipt(client: redis.Redis, app: str, generation_id: str, release_id: str) -> Receipt | None:
    """The generation's receipt, made out to a release; None when the generation was never wholly there.

    It says what was published, and not what is there now: for that it is counted against (`publishing.completeness`).
    """
    key = receipt_key(app, generation_id)
    with mapped_errors():
        content = cast("bytes | None", client.get(key))
    return None if content is None else parse_receipt(content, key, generation_id, release_id)


def parse_receipt(content: bytes, key: str, generation_id: str, release_id: str = "") -> Receipt:
    """The receipt that these stored bytes say; raises StoreError when they say none of this Slatework."""
    try:
        fields = json.loads(content)
        version = fields.pop("format_version")
        receipt = Receipt(release_id=release_id, generation_id=generation_id, **fields)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _no_receipt(key, f"is {content!r}, which is no receipt of this Slatework") from error
    if version != FORMAT_VERSION:
        raise _no_receipt(key, f"is of format version {version!r}; this Slatework reads {FORMAT_VERSION}")
    return receipt


def _no_receipt(key: str, problem: str) -> StoreError:
    return StoreError(
        f"The receipt at {key} {problem}.", f"Remove it with `redis-cli del '{key}'` and run `dvc repro publish`."
    )
