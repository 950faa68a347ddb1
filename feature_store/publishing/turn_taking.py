"""One at a time publishes to, or collects from, the online store of an application.

The turn is a key that expires: its value is `<token> <host>:<process>`. Whoever holds the turn renews it while working;
the turn of somebody who was killed ends by itself, at once where whoever waits can see that the process is gone. Every
step that others rely on (a receipt, a removal) looks at the token in the same script: who lost the turn cannot take it.

`seal` puts a new token in place. A store that lost its latest writes (restarted from a dump, failed over to a replica
behind) has lost the new token too; so a script that finds it there knows that all that was written before is there.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import cast

import redis

from contracts.errors import PublishIncomplete, StoreError
from feature_store.online.connection import mapped_errors
from feature_store.online.keys import turn_key

TURN_MS = 15_000  # longer than any step between two renewals takes, also on a busy machine
POLL_S = 0.05

# KEYS: turn. ARGV: the value expected there, the one to put there, milliseconds.
# The second may be there already: a command whose answer was lost is sent again.
_REPLACE = """
local found = redis.call('GET', KEYS[1])
if found ~= ARGV[1] and found ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""
_END = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class Turn:
    """The right to write, as long as it is renewed."""

    def __init__(self, client: redis.Redis, app: str, turn_ms: int) -> None:
        self._client = client
        self._turn_ms = turn_ms
        self.key = turn_key(app)
        self.value = _new_value()

    def renew(self) -> None:
        """Hold it for another while; raises PublishIncomplete when somebody else has it by now."""
        self._replace(self.value)

    def seal(self) -> None:
        """Put a new token in place: who finds it there finds everything that was written before."""
        self._replace(_new_value())

    def lost(self) -> PublishIncomplete:
        """The error of whoever no longer holds it."""
        return PublishIncomplete(
            f"We lost our turn at {self.key}: the store was emptied or restored, or we were away for "
            f"{self._turn_ms / 1000:g} s and somebody else went on.",
            "What is served stays served. Run the same command again: it goes on from what is there.",
        )

    def _replace(self, value: str) -> None:
        with mapped_errors():
            held = self._client.eval(_REPLACE, 1, self.key, self.value, value, self._turn_ms)
        if not held:
            raise self.lost()
        self.value = value


@contextmanager
def taking_turns(client: redis.Redis, app: str, turn_ms: int = TURN_MS) -> Iterator[Turn]:
    """Wait until nobody else publishes or collects, saying for whom, and hold the turn for this block.

    turn_ms: how long it lasts without being renewed.
    """
    turn = Turn(client, app, turn_ms)
    told = False
    while (holder := _take(client, turn, turn_ms)) is not None:
        if not told:
            sys.stderr.write(f"waiting: {holder.partition(' ')[2]} is publishing or collecting\n")
            told = True
        _end_if_dead(client, turn.key, holder)
        time.sleep(POLL_S)
    try:
        yield turn
    finally:
        with suppress(StoreError):  # it ends by itself; an error of the block must not be hidden by one of this
            _end(client, turn.key, turn.value)


def _take(client: redis.Redis, turn: Turn, turn_ms: int) -> str | None:
    """None when the turn is ours now, else the value of whoever holds it."""
    with mapped_errors():
        if client.set(turn.key, turn.value, nx=True, px=turn_ms):
            return None
        found = cast("bytes | None", client.get(turn.key)) or b""
    # Ours already: the connection was lost after the server had heard us, and the command was sent again.
    return None if found.decode(errors="replace") == turn.value else found.decode(errors="replace")


def _end_if_dead(client: redis.Redis, key: str, holder: str) -> None:
    host, _, process = holder.partition(" ")[2].rpartition(":")
    if host != socket.gethostname() or not process.isdecimal():
        return
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        _end(client, key, holder)
    except (PermissionError, OverflowError):
        return  # it lives, under another user, or is no process of this machine


def _end(client: redis.Redis, key: str, value: str) -> None:
    with mapped_errors():
        client.eval(_END, 1, key, value)


def _new_value() -> str:
    return f"{secrets.token_hex(8)} {socket.gethostname()}:{os.getpid()}"
