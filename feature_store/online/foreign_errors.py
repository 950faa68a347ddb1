"""What the errors of redis mean in our words."""

from __future__ import annotations

from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as ConnectionFailed
from redis.exceptions import TimeoutError as TooSlow

from contracts.errors import StoreError, StoreUnavailable

_START_ONE = (
    "Start the server, mend REDIS_URL, or unset REDIS_URL to use the embedded server (`slate up` keeps one running)."
)
_GOES_ON = "Nothing was switched, and a rerun goes on from here."
_FREE_SPACE = "Free disk space where it keeps its data; then it goes on by itself."

# The first that fits: the errors that come earlier are kinds of those that come later.
_MEANINGS: tuple[tuple[tuple[type[Exception], ...], type[StoreError], str, str], ...] = (
    (
        (AuthenticationError, AuthorizationError, NoPermissionError),
        StoreUnavailable,
        "refuses us",
        "Put the right user and password into REDIS_URL.",
    ),
    ((BusyLoadingError,), StoreUnavailable, "is still loading its data", "Try again in a moment."),
    (
        (ClusterDownError, RedisClusterException),
        StoreUnavailable,
        "is a cluster that does not serve every slot",
        "See `redis-cli cluster info` on one of its nodes, and try again when it says `cluster_state:ok`.",
    ),
    ((AskError, TryAgainError), StoreUnavailable, "is moving our keys to another node", "Try again in a moment."),
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


def store_error_of(error: Exception, where: str) -> StoreError | None:
    """The StoreError that an error of redis stands for; None for an error that is not redis'."""
    if not isinstance(error, (RedisError, RedisClusterException)):
        return None
    for kinds, kind, problem, next_step in _MEANINGS:
        if isinstance(error, kinds):
            return kind(f"{where} {problem}: {error}", next_step)
    if cannot_write(error):
        return StoreError(f"{where} cannot write to its disk: {error}", _FREE_SPACE)
    return StoreError(f"{where} refused: {error}", f"See the server's log. {_GOES_ON}")


def cannot_write(error: Exception) -> bool:
    """Whether a server refused because its disk is full: it takes no writes, and can be read."""
    return "MISCONF" in str(error)  # of a script, its place in it comes first
