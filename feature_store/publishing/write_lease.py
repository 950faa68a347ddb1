"""The write lease: one process at a time publishes to, or collects from, the online store of an application.

The lease is a key that expires; its value is `<token> <host>:<process>`. Whoever holds it renews it while working. The
lease of a process that was killed ends by itself, and at once where whoever waits can see that the process is gone.
Every step that others rely on (a receipt, a removal) looks at the token in the same script: who lost the lease cannot
take that step.

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
from feature_store.online.keys import lease_key

LEASE_MS = 15_000  # longer than any step between two renewals takes, also on a busy machine
POLL_S = 0.05

# KEYS: lease. ARGV: the value expected there, the one to put there, milliseconds.
# The second may be there already: a command whose answer was lost is sent again.
_REPLACE = """
local held = redis.call('GET', KEYS[1])
if held ~= ARGV[1] and held ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""
_END = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class WriteLease:
    """The right to write, as long as it is renewed."""

    def __init__(self, client: redis.Redis, app: str, lease_ms: int) -> None:
        self._client = client
        self._lease_ms = lease_ms
        self.key = lease_key(app)
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
            f"We lost the lease at {self.key}: the store was emptied or restored, or we were away for "
            f"{self._lease_ms / 1000:g} s and somebody else went on.",
            "What is served stays served. Run the same command again: it goes on from what is there.",
        )

    def _replace(self, value: str) -> None:
        with mapped_errors():
            held = self._client.eval(_REPLACE, 1, self.key, self.value, value, self._lease_ms)
        if not held:
            raise self.lost()
        self.value = value


@contextmanager
def hold_write_lease(client: redis.Redis, app: str, lease_ms: int = LEASE_MS) -> Iterator[WriteLease]:
    """Wait until nobody else publishes or collects, saying for whom, and hold the lease for this block.

    lease_ms: how long it lasts without being renewed.
    """
    lease = WriteLease(client, app, lease_ms)
    is_said = False
    while (holder := _take(client, lease, lease_ms)) is not None:
        if not is_said:
            sys.stderr.write(f"waiting: {holder.partition(' ')[2]} is publishing or collecting\n")
            is_said = True
        _end_if_dead(client, lease.key, holder)
        time.sleep(POLL_S)
    try:
        yield lease
    finally:
        with suppress(StoreError):  # it ends by itself; an error of the block must not be hidden by one of this
            _end(client, lease.key, lease.value)


def _take(client: redis.Redis, lease: WriteLease, lease_ms: int) -> str | None:
    """None when the lease is ours now, else the value of whoever holds it."""
    with mapped_errors():
        if client.set(lease.key, lease.value, nx=True, px=lease_ms):
            return None
        holder = (cast("bytes | None", client.get(lease.key)) or b"").decode(errors="replace")
    # Ours already: the connection was lost after the server had heard us, and the command was sent again.
    return None if holder == lease.value else holder


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
