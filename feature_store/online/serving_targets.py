"""Who is served what: the pointer of record, and beside it the release in Staging and the canary.

    slate:{<app>}:staging    {"generation_id", "release_id"}
    slate:{<app>}:canary     {"generation_id", "release_id", "salt", "share", "started_ts"}

All three name a release and one of its generations, and are read in one step. None can name a generation that is not
wholly in the store. A canary ends by itself when the pointer moves to another release (see `pointer`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar, cast

import redis

from contracts.errors import PointerMoved, PublishIncomplete, StoreError
from contracts.fingerprint import canonical_json
from feature_store.online.connection import mapped_errors
from feature_store.online.keys import canary_key, pointer_key, receipt_key, staging_key
from feature_store.online.pointer import Pointer, parse_pointer

# KEYS: what is written, receipt of the generation it names, pointer. ARGV: new value, value expected before (empty:
# none, *: whatever), epoch of the pointer expected (empty: any).
_SET = """
if ARGV[2] ~= '*' and (redis.call('GET', KEYS[1]) or '') ~= ARGV[2] then return 'moved' end
if ARGV[3] ~= '' then
  local pointer = redis.call('GET', KEYS[3])
  if not pointer or cjson.decode(pointer)['epoch'] ~= tonumber(ARGV[3]) then return 'moved' end
end
if redis.call('EXISTS', KEYS[2]) == 0 then return 'incomplete' end
redis.call('SET', KEYS[1], ARGV[1])
return 'done'
"""
# KEYS: canary. ARGV: the value expected.
_END = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""
_ANY = "*"
_BUCKETS = 2**64

Target = TypeVar("Target")


@dataclass(frozen=True)
class Staged:
    """The release in Staging, and the generation of values it is answered with."""

    release_id: str
    generation_id: str


@dataclass(frozen=True)
class Canary:
    """A candidate that a share of people gets instead of the release in production.

    share: 0 to 1 of the people; salt: makes the people of two canaries unrelated; started_ts: epoch seconds.
    """

    release_id: str
    generation_id: str
    share: float
    salt: str
    started_ts: int

    def takes(self, person: str) -> bool:
        """Whether this person is among those who get it: the same answer always, and a larger share keeps them all."""
        digest = hashlib.sha256(f"{self.salt}:{person}".encode()).digest()
        return int.from_bytes(digest[:8], "big") < self.share * _BUCKETS


@dataclass(frozen=True)
class ServingTargets:
    """The pointer, the staged release and the canary of an application; None where there is none."""

    pointer: Pointer | None = None
    staged: Staged | None = None
    canary: Canary | None = None


def read_serving_targets(client: redis.Redis, app: str) -> ServingTargets:
    """All three as they stood at one moment."""
    with mapped_errors():
        stored = cast("list[bytes | None]", client.mget([pointer_key(app), staging_key(app), canary_key(app)]))
    pointer, staged, canary = stored
    return ServingTargets(
        None if pointer is None else parse_pointer(pointer, app),
        _parsed_target(Staged, staged, staging_key(app)),
        _parsed_target(Canary, canary, canary_key(app)),
    )


def set_staged(client: redis.Redis, app: str, staged: Staged | None) -> None:
    """Name the release in Staging, or none. Raises PublishIncomplete when its generation has no receipt."""
    if staged is None:
        with mapped_errors():
            client.delete(staging_key(app))
        return
    _set_target(client, app, staging_key(app), staged.generation_id, asdict(staged), _ANY, "")


def set_canary(client: redis.Redis, app: str, canary: Canary, replacing: Canary | None, epoch: int) -> None:
    """Start a canary beside the pointer of this epoch, or change the one that runs.

    Raises PointerMoved when the pointer or the canary is another one by now, PublishIncomplete when the candidate's
    generation has no receipt.
    """
    before = "" if replacing is None else canonical_json(asdict(replacing)).decode()
    _set_target(client, app, canary_key(app), canary.generation_id, asdict(canary), before, str(epoch))


def end_canary(client: redis.Redis, app: str, canary: Canary) -> bool:
    """Give everybody the release in production again; False when this canary had ended or changed already."""
    with mapped_errors():
        return bool(client.eval(_END, 1, canary_key(app), canonical_json(asdict(canary))))


def _set_target(
    client: redis.Redis, app: str, key: str, generation_id: str, value: dict[str, Any], before: str, epoch: str
) -> None:
    keys = [key, receipt_key(app, generation_id), pointer_key(app)]
    with mapped_errors():
        verdict = client.eval(_SET, len(keys), *keys, canonical_json(value), before, epoch)
    match bytes(verdict):
        case b"moved":
            raise PointerMoved(
                f"The canary or the pointer of {app!r} changed since it was read.",
                "Somebody else switched first: look at `slate journal`, and ask again if still wanted.",
            )
        case b"incomplete":
            raise PublishIncomplete(
                f"Generation {generation_id} of {app!r} has no receipt in the online store.",
                "It is not published, or not wholly: ask again, which publishes what is missing.",
            )


def _parsed_target(kind: Callable[..., Target], content: bytes | None, key: str) -> Target | None:
    if content is None:
        return None
    try:
        return kind(**json.loads(content))
    except (ValueError, TypeError) as error:
        raise StoreError(
            f"{key} is {content!r}, which is nothing of this Slatework.",
            f"Remove it with `redis-cli del '{key}'`; `slate sync` writes it again from the journal.",
        ) from error
