"""Which server of the online store holds a key.

A single server holds them all. In a Redis Cluster the keys of an application share a slot (see `keys`), and so a node.
"""

from __future__ import annotations

import redis


def node_of(client: redis.Redis, key: str) -> redis.Redis:
    """The client of the server that holds a key: `client` itself, or in a cluster the node as it is known now."""
    cluster = _cluster(client)
    if cluster is None:
        return client
    node = cluster.get_node_from_key(key)  # type: ignore[no-untyped-call]
    return cluster.get_redis_connection(node)


def nodes_of(client: redis.Redis) -> list[redis.Redis]:
    """The clients of all servers that hold keys: `client` itself, or every primary of a cluster."""
    cluster = _cluster(client)
    if cluster is None:
        return [client]
    return [cluster.get_redis_connection(node) for node in cluster.get_primaries()]  # type: ignore[no-untyped-call]


def refresh_slots(client: redis.Redis) -> None:
    """Ask a cluster anew which node holds what."""
    cluster = _cluster(client)
    if cluster is not None:
        cluster.nodes_manager.initialize()


def _cluster(client: object) -> redis.RedisCluster | None:
    return client if isinstance(client, redis.RedisCluster) else None
