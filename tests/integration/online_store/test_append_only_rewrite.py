"""A real Redis rewrites its append-only file when a publish made it grow: writes stay, and who waits is told."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest
import redis

from contracts.home import Home
from feature_store.online.connection import connect
from feature_store.publishing import append_only_rewrite
from feature_store.publishing.append_only_rewrite import rewrite_append_only
from feature_store.server import embedded_redis
from feature_store.server.server_program import free_port, server_binary
from release.bundle import publication
from tests.unit.feature_store.worlds import SCHEMAS, generation, ids_of

APP = "movies"


@pytest.fixture
def own_home(tmp_path) -> Iterator[Home]:
    """That of a server of this test alone, of which it may be killed."""
    home = Home(tmp_path / "slate-home")
    yield home
    embedded_redis.stop(home)


@pytest.fixture
def client(own_home: Home) -> Iterator[redis.Redis]:
    with connect(embedded_redis.start(own_home)) as client:
        yield client


@pytest.fixture(autouse=True)
def _little_is_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(append_only_rewrite, "LEAST_GROWTH", 10_000)


def grow(client: redis.Redis) -> None:
    for number in range(20):
        client.set("overwritten", str(number) * 1000)
    _wait_until_written(client)


def _wait_until_written(client: redis.Redis) -> None:
    """Where the disk is slow, Redis holds writes back for two seconds, and the file's size does not count them."""
    while client.info("persistence").get("aof_buffer_length"):  # a server without such a file has none
        pass


def test_a_file_that_has_grown_is_rewritten_and_every_write_outlives_the_server(own_home, client):
    grow(client)
    size_before = client.info("persistence")["aof_current_size"]
    assert rewrite_append_only(client, APP)
    client.set("after", "it")
    persistence = client.info("persistence")
    assert persistence["aof_current_size"] < size_before / 10
    assert not persistence["aof_rewrite_in_progress"]
    os.kill(client.info("server")["process_id"], signal.SIGKILL)
    while embedded_redis.is_alive(own_home):
        pass
    with connect(embedded_redis.start(own_home)) as again:
        assert again.mget("overwritten", "after") == [b"19" * 1000, b"it"]


def test_what_has_not_grown_is_left_alone(client):
    grow(client)
    assert rewrite_append_only(client, APP)
    client.set("little", "more")
    assert not rewrite_append_only(client, APP)


def test_growth_that_is_little_beside_the_file_is_left_alone(client):
    client.set("large", "1" * 1_000_000)
    _wait_until_written(client)
    assert rewrite_append_only(client, APP)
    grow(client)
    assert client.info("persistence")["aof_base_size"] > 1_000_000  # nothing is compressed
    assert not rewrite_append_only(client, APP)


def test_a_rewrite_waits_for_a_dump_and_is_waited_for(client):
    grow(client)
    client.bgsave()
    assert rewrite_append_only(client, APP)
    persistence = client.info("persistence")
    assert not persistence["aof_rewrite_scheduled"]
    assert persistence["aof_base_size"] == persistence["aof_current_size"]


def test_who_may_not_have_it_rewritten_goes_on_and_is_told(client, capfd):
    grow(client)
    client.acl_setuser("publisher", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-bgrewriteaof"])
    host = client.get_connection_kwargs()
    with redis.Redis(host=host["host"], port=host["port"], username="publisher", password="any") as limited:
        assert not rewrite_append_only(limited, APP)
    told = capfd.readouterr().err
    assert told.startswith("Redis did not rewrite its append-only file: Redis refuses us:")
    assert "maybe under load" in told


def test_a_rewrite_that_fails_is_told_and_nothing_is_lost(own_home, client, capfd):
    grow(client)
    removed = own_home.redis / "removed"
    removed.mkdir()
    client.config_set("dir", str(removed))
    removed.rmdir()
    assert not rewrite_append_only(client, APP)
    client.config_set("dir", str(own_home.redis))
    assert "the rewrite failed" in capfd.readouterr().err
    assert client.get("overwritten") == b"19" * 1000


def test_a_server_without_an_append_only_file_is_left_alone(tmp_path):
    port = free_port()
    command = [str(server_binary()), "--port", str(port), "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            client = redis.Redis(port=port)
            while not _answers(client):
                pass
            grow(client)
            assert not rewrite_append_only(client, APP)
        finally:
            process.terminate()  # else a failure would wait for it for ever


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def test_of_a_cluster_the_node_of_the_application_rewrites(cluster_url):
    with redis.RedisCluster.from_url(cluster_url) as cluster:
        for number in range(20):
            cluster.set(f"slate:{{{APP}}}:overwritten", str(number) * 1000)
        assert rewrite_append_only(cluster, APP)


def test_publishing_has_it_rewritten_before_it_returns(client, monkeypatch):
    values = generation()
    monkeypatch.setattr(append_only_rewrite, "LEAST_GROWTH", 1)
    publication._publish(client, APP, values, SCHEMAS, ids_of(values), "r1", 20)
    persistence = client.info("persistence")
    assert persistence["aof_base_size"] == persistence["aof_current_size"] > 0
