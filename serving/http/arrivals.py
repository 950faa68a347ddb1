"""What is known of a request before anybody reads what it asks: when it was there, whether its client is, its id."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

# In the scope of a request, by the protocol that reads it (`serving.http.bounded_http`):
CAME = "slate.came"  # when the whole request was there, by `time.perf_counter`
IS_GONE = "slate.is_gone"  # says whether the client has hung up, from any thread

ID_BYTES, IDS_AT_ONCE = 16, 256


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request that has come. came: when it was read, by `time.perf_counter`; is_gone: whether its client has gone."""

    came: float
    is_gone: Callable[[], bool]

    @classmethod
    def of(cls, scope: Mapping[str, Any]) -> Arrival:
        """That of a request with this scope; now, from somebody who stays, where another protocol read it."""
        return cls(scope.get(CAME) or time.perf_counter(), scope.get(IS_GONE, _stays))

    def waited_ms(self) -> float:
        """What has gone by since."""
        return 1000 * (time.perf_counter() - self.came)


def _stays() -> bool:
    return False


class RequestIds:
    """Ids that nobody can guess, drawn many at once: each call of the system lets other threads take over meanwhile."""

    def __init__(self) -> None:
        self._drawn: list[str] = []

    def next(self) -> str:
        """The id of one more request."""
        if not self._drawn:
            drawn = os.urandom(ID_BYTES * IDS_AT_ONCE).hex()
            self._drawn = [drawn[start : start + 2 * ID_BYTES] for start in range(0, len(drawn), 2 * ID_BYTES)]
        return self._drawn.pop()
