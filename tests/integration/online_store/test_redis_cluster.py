"""Everything that talks to the online store, against a real Redis Cluster of three nodes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.crc import key_slot

from bench.redis_cluster import three_nodes
from contracts.errors import PointerMoved, PublishIncomplete, StoreError, StoreUnavailable
from contracts.events import EventType
from contracts.settings.settings import load_settings
from contracts.slates import RecommendRequest
from feature_store.online.bare_client import QuickClient
from feature_store.online.connection import connect
from feature_store.online.event_stream import id_from, latest_records, read_stream
from feature_store.online.keys import (
    events_key,
    items_key,
    lease_key,
    pointer_key,
    requests_key,
    session_key,
    users_key,
)
from feature_store.online.nodes import node_of, nodes_of
from feature_store.online.pipelining import raise_refused, send_pipelined
from feature_store.online.pointer import NO_POINTER_YET, move_pointer, read_pointer
from feature_store.online.recent_events import RecentEvent, Retention, append_events
from feature_store.online.serving_targets import (
    Canary,
    Staged,
    end_canary,
    read_serving_targets,
    set_canary,
    set_staged,
)
from feature_store.publishing.completeness import is_published
from feature_store.publishing.garbage_collection import collect_garbage
from feature_store.publishing.generations import list_generations
from feature_store.publishing.memory_forecast import check_memory, generation_size
from feature_store.publishing.publishing import publish
from feature_store.publishing.write_lease import hold_write_lease
from feature_store.readers.online_reader import RedisFeatureReader
from serving.logs.event_log import EventLog
from serving.logs.record_spool import RecordSpool
from serving.logs.request_log import RequestLog
from serving.logs.values_log import ValuesLog
from serving.metrics import Metrics
from serving.served import Arm
from tests.unit.feature_store.worlds import AS_OF, SCHEMAS, generation, ids_of

CHECKOUT = Path(__file__).resolve().parents[3]
APPS = ["movies", "articles", "shop"]  # their tags fall into slots of at least two of three nodes
VALUES = generation(n_users=150, n_items=40)
ID = VALUES.generation_id


@pytest.fixture
def client(cluster_url: str) -> Iterator[redis.Redis]:
    with connect(cluster_url) as client:
        yield client


def publish_all(client: redis.Redis, app: str, values: Any = VALUES) -> Any:
    return publish(client, app, values, SCHEMAS, ids_of(values), "r1", batch_size=20)


def test_a_node_of_a_cluster_is_seen_to_be_one_and_a_single_server_not(client: redis.Redis, redis_url: str) -> None:
    assert isinstance(client, redis.RedisCluster)
    with connect(redis_url) as single:
        assert isinstance(single, redis.Redis)
        assert nodes_of(single) == [node_of(single, "any")] == [single]


def test_the_keys_of_an_application_lie_on_one_node_and_applications_on_several(client: redis.Redis) -> None:
    for app in APPS:
        receipt = publish_all(client, app)
        assert is_published(client, app, receipt)
        own = node_of(client, pointer_key(app))
        beside = [node for node in nodes_of(client) if node is not own]
        assert own.exists(users_key(app, ID, 0), users_key(app, ID, 2), items_key(app, ID)) == 3
        assert not [key for node in beside for key in node.scan_iter(match=f"slate:{{{app}}}:*")]
    assert len({id(node_of(client, pointer_key(app))) for app in APPS}) > 1


def test_publishing_again_writes_what_is_missing_or_wrong(client: redis.Redis) -> None:
    first = publish_all(client, "movies")
    client.delete(users_key("movies", ID, 1))
    client.hset(items_key("movies", ID), "i2", b"spoilt")
    client.set(users_key("movies", ID, 2), b"no hash")
    assert publish_all(client, "movies") == first
    reader = RedisFeatureReader(client, "movies", ID, SCHEMAS, ids_of(VALUES))
    assert reader.read_items(VALUES.items["item_id"].to_list(), AS_OF).known.all()
    assert all(reader.read_person(one, None, AS_OF).features.known.all() for one in VALUES.users["user_id"])


def test_keys_that_moved_to_another_node_are_followed_by_who_knew_the_old_one(tmp_path: Path) -> None:
    with three_nodes(tmp_path) as url, connect(url) as client:
        slot, before = key_slot(b"{movies}"), node_of(client, pointer_key("movies"))
        after = next(node for node in nodes_of(client) if node is not before)
        target = after.execute_command("CLUSTER", "MYID")
        for node in (after, before, *nodes_of(client)):
            node.execute_command("CLUSTER", "SETSLOT", slot, "NODE", target)
        raise_refused(send_pipelined(client, [("HSET", items_key("movies", "0" * 16), "i2", b"row")]))
        publish_all(client, "movies")
        assert after.exists(users_key("movies", ID, 0), users_key("movies", ID, 2)) == 2
        reader = RedisFeatureReader(client, "movies", ID, SCHEMAS, ids_of(VALUES))
        assert reader.read_items(VALUES.items["item_id"].to_list(), AS_OF).known.all()


@pytest.mark.parametrize("app", APPS)
def test_the_pointer_moves_by_compare_and_set_also_over_a_bare_socket(cluster_url: str, app: str) -> None:
    """Of three applications at least two are not on the node that the address names."""
    with closing(QuickClient(cluster_url)) as quick:
        with pytest.raises(PublishIncomplete):
            move_pointer(quick, app, "r1", ID, NO_POINTER_YET)
        publish_all(quick.whole(), app)
        moved = move_pointer(quick, app, "r1", ID, NO_POINTER_YET)
        assert read_pointer(quick, app) == moved
        with pytest.raises(PointerMoved):
            move_pointer(quick, app, "r2", ID, NO_POINTER_YET)


def test_staging_and_the_canary_are_set_and_read_in_one_step(client: redis.Redis) -> None:
    publish_all(client, "movies")
    pointer = move_pointer(client, "movies", "r1", ID, NO_POINTER_YET)
    canary = Canary("r2", ID, share=0.1, salt="s", started_ts=1)
    set_staged(client, "movies", Staged("r2", ID))
    set_canary(client, "movies", canary, None, pointer.epoch)
    targets = read_serving_targets(client, "movies")
    assert (targets.pointer, targets.staged, targets.canary) == (pointer, Staged("r2", ID), canary)
    assert end_canary(client, "movies", canary)


def test_a_turn_that_was_lost_fences_off_whoever_had_it(client: redis.Redis) -> None:
    with hold_write_lease(client, "movies") as lease:
        lease.renew()
        lease.seal()
        client.set(lease_key("movies"), "somebody else:1")
        with pytest.raises(PublishIncomplete):
            lease.renew()


def test_a_session_is_written_whole_and_read_with_the_person(client: redis.Redis) -> None:
    publish_all(client, "movies")
    user_id = VALUES.users["user_id"][0]
    events = [
        RecentEvent(EventType.CLICK, item_id, second * 1_000_000, 1.0, user_id, "s1")
        for item_id, second in (("i2", 1_600_000_000), ("i7", 1_600_000_001))
    ]
    append_events(client, "movies", events, session=Retention(1, 300), recent=Retention(2, 600))
    reader = RedisFeatureReader(client, "movies", ID, SCHEMAS, ids_of(VALUES))
    person = reader.read_person(user_id, "s1", AS_OF)
    assert person.session.event_ts.tolist() == [1_600_000_001]
    assert person.recent.event_ts.tolist() == [1_600_000_000, 1_600_000_001]
    assert person.features.known.all()
    assert 0 < client.ttl(session_key("movies", "s1")) <= 300


def test_streams_are_written_by_a_servers_logs_and_read_in_batches(client: redis.Redis, tmp_path: Path) -> None:
    metrics, serving = Metrics(), load_settings(CHECKOUT / "params.yaml").serving
    requests = RequestLog(lambda: client, "movies", 100, metrics)
    values = ValuesLog(lambda: client, "movies", serving, metrics)
    log = EventLog(lambda: client, "movies", RecordSpool(tmp_path / "spool", 1000), metrics, requests, values, 3600)
    log.append(7, lambda: log.encoded([{"event_id": str(number)} for number in range(7)]))
    log.requests.append(RecommendRequest("q"), Arm.PRODUCTION, datetime(2020, 1, 1, tzinfo=UTC))
    log.write_waiting()
    batches = list(read_stream(client, events_key("movies"), id_from(1), 2**53, batch_length=3))
    assert [json.loads(record)["event_id"] for batch in batches for record in batch.records] == list("0123456")
    [asked] = latest_records(client, requests_key("movies"), 10)
    assert json.loads(asked)["request"]["request_id"] == "q"


def test_collection_takes_what_nothing_refers_to_and_finds_strays_on_any_node(client: redis.Redis) -> None:
    other = generation(n_users=150, n_items=40, seed=9)
    for app in APPS:
        publish_all(client, app)
        publish_all(client, app, other)
        move_pointer(client, app, "r1", ID, NO_POINTER_YET)
        stray = items_key(app, "0" * 16)
        client.hset(stray, "i2", b"row")
        done = collect_garbage(client, app, {}, timedelta(0), batch_size=3)
        assert {one.generation_id for one in done.removed} == {other.generation_id, "0" * 16}
        assert [one.why for one in done.kept] == ["served"]
        assert [entry.generation_id for entry in list_generations(client, app)] == [ID]
        left = list(client.scan_iter(match=f"slate:{{{app}}}:v2:*"))
        assert all(ID.encode() in key for key in left)


def test_memory_is_asked_of_the_node_that_will_hold_the_values(client: redis.Redis) -> None:
    node = node_of(client, pointer_key("movies"))
    node.config_set("maxmemory", 1)
    try:
        with pytest.raises(StoreError, match="free"):
            check_memory(client, "movies", ID, generation_size(VALUES))
        others = [app for app in APPS if node_of(client, pointer_key(app)) is not node]
        check_memory(client, others[0], ID, generation_size(VALUES))
    finally:
        node.config_set("maxmemory", 0)


def test_the_doctor_knows_a_cluster(cluster_url: str, client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_all(client, "movies")
    publish_all(client, "articles")
    n_keys = sum(int(node.dbsize()) for node in nodes_of(client))
    monkeypatch.setenv("REDIS_URL", cluster_url)
    ran = subprocess.run(
        [sys.executable, "-m", "cli.main", "doctor", "--json"], cwd=CHECKOUT, stdout=subprocess.PIPE, check=False
    )
    told = {one["name"]: one for one in json.loads(ran.stdout)}
    assert told["Redis"]["found"] == f"reachable, a cluster of 3 nodes, {n_keys} keys"
    assert told["Redis settings"]["state"] == "ok"


def test_an_application_whose_node_is_gone_is_unavailable_and_others_go_on(tmp_path: Path) -> None:
    with three_nodes(tmp_path) as url, connect(url, timeout_ms=2000) as client:
        for node in nodes_of(client):
            node.config_set("cluster-require-full-coverage", "no")
        gone = node_of(client, pointer_key("movies"))
        other = next(app for app in APPS if node_of(client, pointer_key(app)) is not gone)
        gone.shutdown(nosave=True)
        with pytest.raises(StoreUnavailable):
            read_pointer(client, "movies")
        assert read_pointer(client, other) is None


def test_a_cluster_without_all_its_slots_says_so(tmp_path: Path) -> None:
    with three_nodes(tmp_path) as url:
        with connect(url) as client:
            node_of(client, pointer_key("movies")).execute_command("CLUSTER", "DELSLOTS", key_slot(b"{movies}"))
        with pytest.raises(StoreUnavailable, match="cluster"), connect(url) as client:
            read_pointer(client, "movies")


def test_another_database_than_the_only_one_of_a_cluster_is_refused(cluster_url: str) -> None:
    with pytest.raises(StoreError, match="SELECT"):
        connect(cluster_url.removesuffix("/0") + "/1")
