"""The pointer of record: which release and generation an application serves. It moves in one atomic step.

Its value is JSON: {"epoch": 3, "generation_id": "...", "release_id": "..."}. The epoch grows by one with each move.
A canary (see `serving_targets`) is compared with the release it was started beside: moving to another release ends it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Protocol, cast

from contracts.errors import PointerMoved, PublishIncomplete, StoreError
from feature_store.online.connection import mapped_errors
from feature_store.online.keys import canary_key, pointer_key, receipt_key

NO_POINTER_YET = 0

# KEYS: pointer, receipt of the generation pointed at, canary. ARGV: epoch expected, pointer as JSON.
# Redis runs a script whole: no reader sees a state between the checks and the move.
_MOVE = """
local current = redis.call('GET', KEYS[1])
local now = current and cjson.decode(current) or {epoch = 0}
if now['epoch'] ~= tonumber(ARGV[1]) then return {'moved', current or ''} end
if redis.call('EXISTS', KEYS[2]) == 0 then return {'incomplete', ''} end
redis.call('SET', KEYS[1], ARGV[2])
if now['release_id'] ~= cjson.decode(ARGV[2])['release_id'] then redis.call('DEL', KEYS[3]) end
return {'done', ARGV[2]}
"""


class PointerClient(Protocol):
    """The two calls that read and move the pointer, as the client library has them."""

    def get(self, key: str, /) -> Any: ...

    def eval(self, script: str, n_keys: int, /, *keys_and_arguments: Any) -> Any: ...


class NamesGeneration(Protocol):
    """Whatever names a generation of a release: a pointer, a receipt, an entry of the journal."""

    @property
    def release_id(self) -> str | None: ...

    @property
    def generation_id(self) -> str | None: ...


def is_same_generation(one: NamesGeneration, other: NamesGeneration) -> bool:
    """Whether both name one generation of one release."""
    return (one.release_id, one.generation_id) == (other.release_id, other.generation_id)


@dataclass(frozen=True)
class Pointer:
    """What is served. epoch: how many moves led here; 1 is the first."""

    release_id: str
    generation_id: str
    epoch: int


def read_pointer(client: PointerClient, app: str) -> Pointer | None:
    """What the application serves, or None when nothing was ever promoted (or the store was flushed)."""
    with mapped_errors():
        content = cast("bytes | None", client.get(pointer_key(app)))
    return None if content is None else parse_pointer(content, app)


def epoch_of(pointer: Pointer | None) -> int:
    """The epoch that a move expects which was decided on when this was the pointer."""
    return pointer.epoch if pointer else NO_POINTER_YET


def move_pointer(client: PointerClient, app: str, release_id: str, generation_id: str, expected_epoch: int) -> Pointer:
    """Serve this release and generation from now on, if nobody moved the pointer since `expected_epoch` was read.

    expected_epoch: the epoch of the pointer read before, NO_POINTER_YET (0) where there was none.
    Raises PointerMoved when the epoch differs, PublishIncomplete when the generation has no receipt.
    """
    target = Pointer(release_id, generation_id, expected_epoch + 1)
    keys = [pointer_key(app), receipt_key(app, generation_id), canary_key(app)]
    with mapped_errors():
        verdict, current = client.eval(_MOVE, 3, *keys, expected_epoch, json.dumps(asdict(target), sort_keys=True))
    match bytes(verdict):
        case b"moved":
            raise PointerMoved(
                f"The pointer of {app!r} is {bytes(current).decode() or 'not there'}; expected epoch {expected_epoch}.",
                "Somebody else switched the release first: look at `slate journal`, and promote again if still wanted.",
            )
        case b"incomplete":
            raise PublishIncomplete(
                f"Generation {generation_id} of {app!r} has no receipt in the online store.",
                "It is not published, or not wholly: run `dvc repro publish` (it writes only what is missing).",
            )
    return target


def parse_pointer(content: bytes, app: str) -> Pointer:
    """The pointer that these stored bytes say; raises StoreError when they say none."""
    try:
        return Pointer(**json.loads(content))
    except (ValueError, TypeError) as error:
        raise StoreError(
            f"The pointer at {pointer_key(app)} is {content!r}, which is no pointer of this Slatework.",
            f"Remove it with `redis-cli del '{pointer_key(app)}'`, and let `slate sync` set it from the journal.",
        ) from error
