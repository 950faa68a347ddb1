"""A Redis Cluster of three nodes on this machine, for benchmarks and tests: each node serves a third of the slots."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis

from feature_store.server.server_program import free_port, server_command

N_SLOTS = 16_384
N_NODES = 3
BUS_OFFSET = 10_000  # where a node listens for the others, counted from its port


@contextmanager
def three_nodes(folder: Path) -> Iterator[str]:
    """The URL of one node of a new cluster, which is up; its nodes end with the block and save nothing."""
    with ExitStack() as stack:
        ports = [stack.enter_context(_node(folder / f"node-{number}")) for number in range(N_NODES)]
        clients = [stack.enter_context(redis.Redis(port=port)) for port in ports]
        for number, client in enumerate(clients):
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            first, behind = (N_SLOTS * at // N_NODES for at in (number, number + 1))
            client.execute_command("CLUSTER", "ADDSLOTS", *range(first, behind))
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", ports[0])
        while not all(_is_up(client) for client in clients):
            pass
        yield f"redis://127.0.0.1:{ports[0]}/0"


@contextmanager
def _node(folder: Path) -> Iterator[int]:
    folder.mkdir(parents=True)
    port = _free_pair()
    options = ["--cluster-enabled", "yes", "--cluster-config-file", str(folder / "nodes.conf"), "--save", ""]
    process = subprocess.Popen([*server_command(folder, port), *options])
    try:
        with redis.Redis(port=port) as probe:
            while not _answers(probe):
                if process.poll() is not None:
                    sys.exit((folder / "redis.log").read_text())
        yield port
    finally:
        process.kill()
        process.wait()


def _free_pair() -> int:
    """A free port whose bus port exists."""
    while (port := free_port()) + BUS_OFFSET > 65_535:
        pass
    return port


def _answers(probe: redis.Redis) -> bool:
    try:
        return bool(probe.ping())
    except redis.RedisError:
        return False


def _is_up(client: redis.Redis) -> bool:
    said = client.execute_command("CLUSTER", "INFO")
    text = said.decode() if isinstance(said, bytes) else str(said)
    return "cluster_state:ok" in text and f"cluster_known_nodes:{N_NODES}" in text
