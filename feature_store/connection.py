"""The connection to the online store, and the one place where redis' errors become ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)
from redis.exceptions import ConnectionError as ConnectionFailed
from redis.exceptions import TimeoutError as TooSlow
from redis.retry import Retry

from contracts.errors import StoreError, StoreUnavailable

Client = redis.Redis  # what other rooms hand around without speaking to redis themselves

PATIENT_TIMEOUT_S = 30.0  # for stages: a batch of thousands of rows on a busy machine
CONNECT_TIMEOUT_S = 5.0
FIRST_ANSWER_MS = 5000  # a wrong address is told in seconds; patience is for a server that was there

_START_ONE = (
    "Start the server, mend REDIS_URL, or unset REDIS_URL to use the embedded server (`slate up` keeps one running)."
)


def connect(url: str, timeout_ms: int | None = None) -> redis.Redis:
    """A client that was answered once; replies are bytes.

    timeout_ms: with one, every call ends within about that time and is never tried again (a request's deadline);
    without, calls are patient and a lost connection is retried, once the first answer has come within seconds.
    Raises StoreUnavailable when nobody answers there, StoreError when the URL is malformed.
    """
    first = timeout_ms or FIRST_ANSWER_MS
    try:
        client = redis.Redis.from_url(url, protocol=2, **_patience(timeout_ms))
        probe = redis.Redis.from_url(url, protocol=2, **_patience(first))
    except ValueError as error:
        raise StoreError(
            f"{without_password(url)} is no Redis URL: {error}", "Write it as redis://[:password@]host:port/0."
        ) from error
    with mapped_errors(where=without_password(url)):
        probe.ping()
    probe.close()
    return client


def without_password(url: str) -> str:
    """The URL as it may be printed."""
    return re.sub(r"//([^/@:]*):[^/]*@", r"//\1:***@", url)


@contextmanager
def mapped_errors(where: str = "Redis") -> Iterator[None]:
    """Raise ours for redis' errors: StoreUnavailable where the server does not answer, StoreError where it refuses."""
    try:
        yield
    except RedisError as error:
        raise _mapped(error, where) from error


def _patience(timeout_ms: int | None) -> dict[str, object]:
    if timeout_ms is None:
        return {
            "socket_timeout": PATIENT_TIMEOUT_S,
            "socket_connect_timeout": CONNECT_TIMEOUT_S,
            "retry": Retry(ExponentialBackoff(cap=0.5, base=0.05), 3),
        }
    seconds = timeout_ms / 1000
    return {"socket_timeout": seconds, "socket_connect_timeout": seconds, "retry": Retry(NoBackoff(), 0)}


def _mapped(error: RedisError, where: str) -> StoreError:
    for kinds, ours, problem, next_step in _MEANINGS:
        if isinstance(error, kinds):
            return ours(f"{where} {problem}: {error}", next_step)
    return StoreError(f"{where} refused: {error}", f"See the server's log. {_GOES_ON}")


_GOES_ON = "Nothing was switched, and a rerun goes on from here."

# The first that fits: the errors that come earlier are kinds of those that come later.
_MEANINGS: tuple[tuple[tuple[type[RedisError], ...], type[StoreError], str, str], ...] = (
    (
        (AuthenticationError, AuthorizationError, NoPermissionError),
        StoreUnavailable,
        "refuses us",
        "Put the right user and password into REDIS_URL.",
    ),
    ((BusyLoadingError,), StoreUnavailable, "is still loading its data", "Try again in a moment."),
    ((TooSlow,), StoreUnavailable, "did not answer in time", "See whether it is overloaded, and try again."),
    ((ConnectionFailed,), StoreUnavailable, "cannot be reached", _START_ONE),
    (
        (OutOfMemoryError,),
        StoreError,
        "is out of memory",
        f"Raise its `maxmemory`, or give it less to hold. {_GOES_ON}",
    ),
    ((ReadOnlyError,), StoreError, "is a read-only replica", "Point REDIS_URL at the primary."),
)
