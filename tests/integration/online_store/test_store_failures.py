"""Publishing into a Redis that runs full, goes away, comes back empty, or stops taking writes, in the middle of it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from contracts.errors import StoreError, StoreUnavailable
from feature_store.online.connection import connect
from feature_store.online.keys import BUCKET_SIZE
from feature_store.online.pointer import NO_POINTER_YET, move_pointer, read_pointer
from feature_store.online.receipt import Receipt, read_receipt
from feature_store.publishing import publishing
from feature_store.publishing.memory_forecast import (
    bytes_needed,
    generation_size,
    keeps_hashes_compact,
    read_memory,
    settings_advice,
)
from feature_store.readers.online_reader import RedisFeatureReader
from feature_store.server.server_program import free_port, server_command
from tests.integration.online_store.test_publish import APP, everything, publish_all
from tests.unit.feature_store.worlds import AS_OF, SCHEMAS, generation, ids_of

OLD = generation(n_users=200, n_items=60)
NEW = generation(n_users=3000, n_items=300, seed=6)
SPARE = 64 * 1024  # what a connection's buffers and the list of generations take


class Server:
    """A Redis of this test alone, which comes back with its last dump: it keeps no append-only file."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self, *options: str) -> None:
        command = [*server_command(self.folder, self.port), "--appendonly", "no"]
        self._process = subprocess.Popen([*command, *options])
        with redis.Redis(port=self.port) as probe:
            while not _answers(probe):
                assert self._process.poll() is None, (self.folder / "redis.log").read_text()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def _answers(probe: redis.Redis) -> bool:
    try:
        return bool(probe.ping())
    except redis.RedisError:
        return False


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "redis")
    yield server
    server.kill()


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    """With a generation in production."""
    with connect(server.url) as client:
        publish_all(client, OLD)
        move_pointer(client, APP, "r1", OLD.generation_id, NO_POINTER_YET)
        yield client


def in_the_middle(monkeypatch: pytest.MonkeyPatch, happen: Callable[[], object]) -> None:
    """Have it happen once, after some batches were written."""
    write_and_verify, calls = publishing._write_and_verify, []

    def write_until(*arguments) -> None:
        calls.append(arguments)
        if len(calls) == 10:
            happen()
        write_and_verify(*arguments)

    monkeypatch.setattr(publishing, "_write_and_verify", write_until)


def publish_new(client: redis.Redis) -> Receipt:
    return publish_all(client, NEW, batch_size=BUCKET_SIZE, release_id="r2")


def assert_served_whole(client: redis.Redis, values=OLD) -> None:
    assert read_pointer(client, APP).generation_id == values.generation_id
    reader = RedisFeatureReader(client, APP, values.generation_id, SCHEMAS, ids_of(values))
    assert all(reader.read_person(user_id, None, AS_OF).features.known.all() for user_id in values.users["user_id"])
    assert reader.read_items(values.items["item_id"].to_list(), AS_OF).known.all()


def is_new_published(client: redis.Redis) -> bool:
    return read_receipt(client, APP, NEW.generation_id, "r2") is not None


class TestRoom:
    @pytest.mark.parametrize("compact", [True, False])
    @pytest.mark.parametrize("n_users", [64, 3000])
    def test_the_forecast_is_enough_and_not_far_off(self, server, n_users, compact):
        values = generation(n_users=n_users, n_items=500)
        with connect(server.url) as client:
            if not compact:
                client.config_set("hash-max-ziplist-value", 8)
            before = read_memory(client).used
            publish_all(client, values)
            taken = read_memory(client).used - before
            forecast = bytes_needed(generation_size(values), compact=keeps_hashes_compact(client))
        assert taken <= forecast + SPARE
        assert forecast <= 2.5 * taken  # rows of two features are almost all overhead

    @pytest.mark.parametrize(
        ("policy", "consequence"),
        [
            ("noeviction", "run out of memory"),
            ("allkeys-lru", "would evict what is being served"),
            ("volatile-lru", "forget sessions"),
        ],
    )
    def test_too_little_is_refused_with_both_numbers_before_anything_is_written(self, client, policy, consequence):
        client.config_set("maxmemory-policy", policy)
        memory = read_memory(client)
        needed = bytes_needed(generation_size(NEW), compact=True)
        client.config_set("maxmemory", memory.used + needed // 2)
        before = everything(client)
        with pytest.raises(StoreError, match=consequence) as refused:
            publish_new(client)
        assert f"needs {needed / 2**20:,.1f} MiB more" in refused.value.problem
        assert "free" in refused.value.problem
        assert "slate collect" in refused.value.next_step
        assert everything(client) == before

    @pytest.mark.parametrize("policy", ["noeviction", "allkeys-lru"])
    def test_enough_is_enough_whatever_the_policy(self, client, policy):
        client.config_set("maxmemory-policy", policy)
        client.config_set(
            "maxmemory", read_memory(client).used + bytes_needed(generation_size(NEW), compact=True) + SPARE
        )
        assert publish_new(client).n_users == 3000
        assert_served_whole(client)

    def test_what_is_there_already_needs_no_room_again(self, client):
        publish_new(client)
        client.config_set("maxmemory", read_memory(client).used + SPARE)
        assert publish_new(client).n_users == 3000

    def test_without_a_limit_the_machines_memory_is_the_limit(self, client):
        memory = read_memory(client)
        assert not memory.is_capped
        assert memory.limit == client.info("memory")["total_system_memory"]


class TestSettings:
    def test_the_embedded_servers_own_are_well(self, client):
        assert keeps_hashes_compact(client)
        assert settings_advice(client)[1] == ""

    @pytest.mark.parametrize(("setting", "value"), [("hash-max-ziplist-entries", 63), ("hash-max-ziplist-value", 64)])
    def test_what_keeps_rows_from_being_small_is_told_with_the_cost_and_the_command(self, client, setting, value):
        client.config_set(setting, value)
        found, next_step = settings_advice(client)
        assert "bytes more a person" in found
        assert "config set hash-max-ziplist-value 1024" in next_step

    @pytest.mark.parametrize(
        ("policy", "told"), [("allkeys-lru", True), ("volatile-lru", False), ("noeviction", False)]
    )
    def test_a_policy_that_may_evict_what_is_served_is_told(self, client, policy, told):
        client.config_set("maxmemory-policy", policy)
        found, next_step = settings_advice(client)
        assert ("may evict what is served" in found) == told
        assert ("maxmemory-policy noeviction" in next_step) == told


def test_out_of_memory_in_the_middle_stops_it_and_a_rerun_goes_on(client, monkeypatch):
    in_the_middle(monkeypatch, lambda: client.config_set("maxmemory", read_memory(client).used))
    with pytest.raises(StoreError, match=r"out of memory.*\n.*Raise its `maxmemory`"):
        publish_new(client)
    client.config_set("maxmemory", 0)
    assert not is_new_published(client)
    assert_served_whole(client)
    assert publish_new(client).n_users == 3000


def test_values_evicted_in_the_middle_give_no_receipt(client, monkeypatch):
    def evict() -> None:
        client.config_set("maxmemory-policy", "allkeys-random")
        client.config_set("maxmemory", read_memory(client).used)

    in_the_middle(monkeypatch, evict)
    with pytest.raises(StoreError, match=r"maxmemory|lease"):
        publish_new(client)
    client.config_set("maxmemory", 0)
    assert not is_new_published(client)


def test_a_primary_that_becomes_a_replica_in_the_middle_stops_it(client, monkeypatch):
    """What a failover looks like from a connection to the old primary."""
    in_the_middle(monkeypatch, lambda: client.replicaof("127.0.0.1", 1))
    with pytest.raises(StoreError, match="primary"):
        publish_new(client)
    client.replicaof("no", "one")
    assert not is_new_published(client)
    assert_served_whole(client)
    assert publish_new(client).n_users == 3000


def test_a_redis_that_goes_away_in_the_middle_stops_it_and_a_rerun_goes_on(server, client, monkeypatch):
    def vanish() -> None:
        client.save()
        server.kill()

    in_the_middle(monkeypatch, vanish)
    with pytest.raises(StoreUnavailable):
        publish_new(client)
    server.start()
    assert_served_whole(client)
    assert not is_new_published(client)
    assert publish_new(client).n_users == 3000


@pytest.mark.parametrize("keeps", ["nothing", "what was there before"])
def test_a_redis_that_comes_back_without_what_was_written_gives_no_receipt(server, client, monkeypatch, keeps):
    def come_back() -> None:
        if keeps == "nothing":
            (server.folder / "dump.rdb").unlink(missing_ok=True)
        server.kill()
        server.start()

    client.save()
    in_the_middle(monkeypatch, come_back)
    with pytest.raises(StoreError):
        publish_new(client)
    assert not is_new_published(client)
    if keeps != "nothing":
        assert_served_whole(client)
    assert publish_new(client).n_users == 3000


def test_a_dump_from_the_middle_of_it_gives_no_receipt(server, client, monkeypatch):
    """Its lease is in the dump as well: only what was put there after the last write shows that writes were lost."""
    in_the_middle(monkeypatch, client.save)
    settle_list = publishing._write_and_verify_list

    def come_back(client: redis.Redis, *arguments) -> None:
        settle_list(client, *arguments)
        server.kill()
        server.start()

    monkeypatch.setattr(publishing, "_write_and_verify_list", come_back)
    with pytest.raises(StoreError):
        publish_new(client)
    assert not is_new_published(client)
    assert_served_whole(client)


def test_a_dump_from_before_the_end_restored_at_the_end_gives_no_receipt(server, client, monkeypatch):
    check = publishing._Publication.check_all_there

    def come_back(self) -> None:
        check(self)
        server.kill()
        server.start()

    in_the_middle(monkeypatch, client.save)
    monkeypatch.setattr(publishing._Publication, "check_all_there", come_back)
    with pytest.raises(StoreError, match="lost the lease"):
        publish_new(client)
    assert not is_new_published(client)
    assert_served_whole(client)
