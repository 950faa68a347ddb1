"""A few Redis commands over one socket, without the client library: importing that takes longer than a whole rollback.

`BareClient` speaks RESP2. `QuickClient` is what commands use that must be quick: whatever a bare socket cannot do, or
does not get a plain answer to, is asked again through the client library, which knows every address and every error.
"""

from __future__ import annotations

import socket
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote, urlsplit

from contracts.addresses import is_well_written
from feature_store.online.connection import connect

if TYPE_CHECKING:
    import redis

QUICK_TIMEOUT_S = 1.0  # a server that needs longer for one command is asked by the client library, which is patient

Reply = bytes | int | list[Any] | None


class BareError(Exception):
    """The server refused, or its reply is none that a bare socket understands."""


class NoReply(BareError):
    """The server hung up before its reply was there."""


class BareClient:
    """One connection to `redis://[[user]:password@]host[:port][/database]`.

    Raises OSError where nobody answers, BareError where the server refuses or the address is of another kind.
    """

    def __init__(self, url: str, timeout_s: float = QUICK_TIMEOUT_S) -> None:
        if not is_well_written(url):
            raise BareError("This address needs the client library, which says what is wrong with it.")
        address = urlsplit(url)
        database = address.path.strip("/") or "0"
        if address.scheme != "redis" or address.query or not address.hostname or not database.isdecimal():
            raise BareError("This address needs the client library.")
        self._socket = socket.create_connection((address.hostname, address.port or 6379), timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._replies = self._socket.makefile("rb")
        try:
            if address.password:
                self.ask("AUTH", *filter(None, [unquote(address.username or "")]), unquote(address.password))
            if int(database):
                self.ask("SELECT", database)
        except (OSError, BareError):
            self.close()
            raise

    def ask(self, *command: str | bytes | int) -> Reply:
        """The reply to one command: bytes, an integer, None or a list of these."""
        parts = [part if isinstance(part, bytes) else str(part).encode() for part in command]
        self._socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
        return self._reply()

    def close(self) -> None:
        """Hang up."""
        self._replies.close()
        self._socket.close()

    def _reply(self) -> Reply:
        line = self._replies.readline()
        kind, said = line[:1], line[1:-2]
        match kind:
            case b"+":
                return said
            case b":":
                return int(said)
            case b"$":
                return None if said == b"-1" else self._bytes(int(said))
            case b"*":
                return None if said == b"-1" else [self._reply() for _ in range(int(said))]
            case b"-":
                raise BareError(said.decode(errors="replace"))
            case b"":
                raise NoReply("The server hung up.")
            case _:
                raise BareError(f"The reply {line!r} is no RESP.")

    def _bytes(self, length: int) -> bytes:
        content = self._replies.read(length + 2)
        if len(content) < length + 2:
            raise NoReply("The server hung up within a reply.")
        return content[:-2]


class QuickClient:
    """GET and EVAL as redis.Redis has them, in milliseconds; the client library's client for everything else.

    A command that a bare socket got no plain answer to is asked again, as the client library itself does: what is
    evaluated here compares before it sets.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._whole: redis.Redis | None = None
        try:
            self._bare: BareClient | None = BareClient(url)
        except (OSError, BareError):
            self._bare = None

    def get(self, key: str) -> Any:
        """The value of a key, None where there is none."""
        return self._ask("GET", key)

    def eval(self, script: str, n_keys: int, *keys_and_arguments: str | bytes | int) -> Any:
        """What the script returns."""
        return self._ask("EVAL", script, n_keys, *keys_and_arguments)

    def whole(self) -> redis.Redis:
        """The client library's client of the same server; raises StoreUnavailable when nobody answers there."""
        if self._whole is None:
            self._whole = connect(self._url)
        return self._whole

    def close(self) -> None:
        """Hang up."""
        for client in (self._bare, self._whole):
            if client is not None:
                client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, *command: str | bytes | int) -> Any:
        if self._bare is not None:
            try:
                return self._bare.ask(*command)
            except (OSError, BareError):
                self._bare.close()
                self._bare = None
        return self.whole().execute_command(*command)  # type: ignore[no-untyped-call]
