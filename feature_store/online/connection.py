"""The connection to the online store, and the one place where redis' errors become ours.

The client library is imported by who connects, and not before: a rollback must not wait for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias, cast

from contracts.addresses import ENCODE, is_well_written, printable_address, with_password
from contracts.errors import SlateworkError, StoreError

if TYPE_CHECKING:
    import redis

Client: TypeAlias = "redis.Redis"  # what other rooms hand around without speaking to redis themselves

PATIENT_TIMEOUT_S = 30.0  # for stages: a batch of thousands of rows on a busy machine
CONNECT_TIMEOUT_S = 5.0
FIRST_ANSWER_MS = 5000  # a wrong address is an error within seconds; patience is for a server that has answered


def connect(url: str, timeout_ms: int | None = None) -> redis.Redis:
    """A client of a server that has answered once; replies are bytes.

    Where the server is a node of a Redis Cluster, the client is one of the whole cluster; it has the same commands.
    timeout_ms: with one, every call ends within about that time and is never tried again (a request's deadline);
    without, calls are patient and a lost connection is retried, once the first answer has come within seconds.
    Raises StoreUnavailable when nobody answers there, StoreError when the URL is malformed.
    """
    import redis  # noqa: PLC0415 - see above

    first, where = timeout_ms or FIRST_ANSWER_MS, printable_address(url)
    if not is_well_written(url):
        raise _no_redis_url(where)
    try:
        client = redis.Redis.from_url(url, protocol=2, **_timeouts(timeout_ms))
        probe = redis.Redis.from_url(url, protocol=2, **_timeouts(first))
    except ValueError:
        raise _no_redis_url(where) from None  # its words may hold a part of the password
    with mapped_errors(where=where):
        _greet(probe)
        if _is_cluster(probe):
            client.close()
            # It has every command that is used here, but is not a subclass of redis.Redis.
            client = cast("redis.Redis", redis.RedisCluster.from_url(url, protocol=2, **_timeouts(timeout_ms)))
    probe.close()
    return client


def named_url() -> str | None:
    """The server that REDIS_URL names, with the password of SLATE_REDIS_PASSWORD where the address has none."""
    url, password = os.environ.get("REDIS_URL"), os.environ.get("SLATE_REDIS_PASSWORD")
    return with_password(url, password) if url and password else url or None


def _no_redis_url(where: str) -> StoreError:
    return StoreError(f"{where} is no Redis URL.", f"Write it as redis://[:password@]host:port/0. {ENCODE}")


@contextmanager
def mapped_errors(where: str = "Redis") -> Iterator[None]:
    """Map redis' errors to ours: StoreUnavailable where the server does not answer, StoreError where it refuses."""
    try:
        yield
    except SlateworkError:
        raise
    except Exception as error:
        from feature_store.online.foreign_errors import store_error_of  # noqa: PLC0415 - see above

        mapped = store_error_of(error, where)
        if mapped is None:
            raise
        raise mapped from error


def _greet(probe: redis.Redis) -> None:
    """Be answered once. A server that cannot write to its disk refuses a PING as it refuses writes; it can be read."""
    from redis.exceptions import ResponseError  # noqa: PLC0415 - see above

    from feature_store.online.foreign_errors import cannot_write  # noqa: PLC0415 - see above

    try:
        probe.ping()
    except ResponseError as error:
        if not cannot_write(error):
            raise


def _is_cluster(probe: redis.Redis) -> bool:
    from redis.exceptions import NoPermissionError  # noqa: PLC0415 - see above

    try:
        return bool(probe.info("cluster").get("cluster_enabled"))
    except NoPermissionError:
        return False  # without the permission to ask, a single server is assumed


def _timeouts(timeout_ms: int | None) -> dict[str, object]:
    from redis.backoff import ExponentialBackoff, NoBackoff  # noqa: PLC0415 - see above
    from redis.retry import Retry  # noqa: PLC0415 - see above

    if timeout_ms is None:
        return {
            "socket_timeout": PATIENT_TIMEOUT_S,
            "socket_connect_timeout": CONNECT_TIMEOUT_S,
            "retry": Retry(ExponentialBackoff(cap=0.5, base=0.05), 3),
        }
    seconds = timeout_ms / 1000
    return {"socket_timeout": seconds, "socket_connect_timeout": seconds, "retry": Retry(NoBackoff(), 0)}
