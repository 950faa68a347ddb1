"""Publishing into a real Redis: whole or not at all, however it is cut short."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import polars as pl
import pytest
import redis

from contracts.errors import ArtefactError, PublishIncomplete, ReleaseMismatch, StoreError
from contracts.id_map import IdMap
from feature_store.online.connection import connect
from feature_store.online.keys import (
    bucket_count,
    generations_key,
    histories_key,
    items_key,
    lease_key,
    receipt_key,
    users_key,
)
from feature_store.online.pointer import NO_POINTER_YET, move_pointer, read_pointer
from feature_store.online.receipt import Receipt, read_receipt
from feature_store.publishing import completeness, publishing
from feature_store.publishing.completeness import is_published, missing_values
from feature_store.publishing.generations import list_generations
from feature_store.publishing.publishing import publish
from feature_store.readers.offline_reader import OfflineFeatureReader
from feature_store.readers.online_reader import RedisFeatureReader
from feature_store.values.value_source import ValueSource
from feature_store.values.values_folder import ValuesFolder
from tests.killed import Killed
from tests.unit.feature_store.worlds import AS_OF, SCHEMAS, generation, ids_of

APP = "movies"
N_KEYS = 2 + 1 + 2 + 1 + 1  # people and where their bucket begins, items, histories likewise, receipt, list


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url) as client:
        yield client


class MortalConnection(redis.Connection):
    """Dies once it has sent so many commands: before the next is sent, or before its answer is heard.

    Several commands sent together count one by one: the server hears of those that were sent by then.
    """

    left = 10**9
    dies_after = False

    def send_packed_command(self, command, check_health=True):
        whole = command if isinstance(command, bytes) else b"".join(command)
        commands = list(split_commands(whole))
        alive, self.left = min(self.left, len(commands)), self.left - len(commands)
        dies = self.left < 0
        sent = commands[: alive + (dies and self.dies_after)]
        if sent:
            super().send_packed_command([b"".join(sent)], check_health=check_health)
        if dies:
            for _ in sent:
                self.read_response()
            raise Killed


def split_commands(packed: bytes) -> Iterator[bytes]:
    """RESP arrays of bulk strings, one by one."""
    start = 0
    while start < len(packed):
        end = packed.index(b"\r\n", start) + 2
        for _ in range(int(packed[start + 1 : end - 2])):
            body = packed.index(b"\r\n", end) + 2
            end = body + int(packed[end + 1 : body - 2]) + 2
        yield packed[start:end]
        start = end


def mortal_client(redis_url: str, n_commands: int, *, dies_after: bool) -> redis.Redis:
    """A client with one connection, which lives for so many commands once it is connected."""
    pool = redis.ConnectionPool.from_url(redis_url, protocol=2, connection_class=MortalConnection, max_connections=1)
    client = redis.Redis(connection_pool=pool)
    client.ping()
    connection = pool.get_connection()
    connection.left, connection.dies_after = n_commands, dies_after
    pool.release(connection)
    return client


def publish_all(client: redis.Redis, values=None, batch_size: int = 20, release_id: str = "r1") -> Receipt:
    values = values or generation()
    return publish_from(client, values, ids_of(values), batch_size, release_id)


def publish_from(client, source: ValueSource, ids: IdMap, batch_size: int = 20, release_id: str = "r1") -> Receipt:
    return publish(client, APP, source, SCHEMAS, ids, release_id, batch_size)


def everything(client: redis.Redis) -> dict[bytes, object]:
    """What is stored, but for the list of generations (its entries tell the time) and who holds the lease."""
    aside = {generations_key(APP).encode(), lease_key(APP).encode()}
    read = {b"hash": client.hgetall, b"string": client.get}
    return {key: read[client.type(key)](key) for key in client.scan_iter() if key not in aside}


def hset_calls(client: redis.Redis) -> int:
    """How many HSET commands the server has carried out."""
    stats = client.info("commandstats")
    return stats.get("cmdstat_hset", {"calls": 0})["calls"]


def test_every_value_and_the_receipt_are_there_afterwards(client):
    receipt = publish_all(client)
    assert client.dbsize() == N_KEYS
    assert (receipt.n_users, receipt.n_items, receipt.n_histories) == (40, 30, 20)
    assert (receipt.release_id, receipt.generation_id) == ("r1", generation().generation_id)
    assert is_published(client, APP, receipt)
    assert Receipt.from_json(receipt.to_json()) == receipt


def test_the_batch_size_changes_nothing_that_is_stored_or_said(client):
    receipt = publish_all(client, batch_size=1)
    stored = everything(client)
    client.flushall()
    assert publish_all(client, batch_size=10_000) == receipt
    assert everything(client) == stored


def test_publishing_never_touches_the_pointer(client):
    publish_all(client)
    pointer = move_pointer(client, APP, "r1", generation().generation_id, NO_POINTER_YET)
    publish_all(client, generation(seed=6), release_id="r2")
    assert read_pointer(client, APP) == pointer


def test_publishing_again_writes_nothing_but_the_receipt(client):
    receipt = publish_all(client)
    before = hset_calls(client)
    assert publish_all(client) == receipt
    assert hset_calls(client) - before == 2  # in the list of generations: begun, published


def test_publishing_again_mends_what_is_missing_wrong_foreign_or_no_hash_at_all(client):
    values = generation(n_users=300, n_items=100)
    receipt = publish_all(client, values)
    stored = everything(client)
    keys = [users_key(APP, values.generation_id, bucket) for bucket in range(5)]
    client.delete(keys[0])
    client.set(keys[1], b"rubbish")
    client.hdel(keys[2], next(iter(client.hgetall(keys[2]))))
    client.hset(keys[3], next(iter(client.hgetall(keys[3]))), b"rubbish")
    client.hset(keys[4], "somebody else", b"rubbish")
    client.hset(items_key(APP, values.generation_id), mapping={"another": b"rubbish", values.items["item_id"][7]: b""})
    client.delete(histories_key(APP, values.generation_id), users_key(APP, values.generation_id))
    client.rpush(users_key(APP, values.generation_id), b"no list of ours")
    assert publish_all(client, values) == receipt
    assert everything(client) == stored


def test_what_is_missing_is_written_in_one_command_a_hash_and_what_is_right_not_at_all(client):
    values = generation(n_users=300)
    publish_all(client, values)
    before = hset_calls(client)
    client.delete(users_key(APP, values.generation_id, 2))
    publish_all(client, values)
    assert hset_calls(client) - before == 1 + 2


def test_a_flushed_store_is_noticed(client):
    receipt = publish_all(client)
    client.flushall()
    assert not is_published(client, APP, receipt)
    assert publish_all(client) == receipt
    assert is_published(client, APP, receipt)


def test_beside_requests_it_is_counted_a_few_at_a_time_with_a_pause_after_each(client, monkeypatch):
    values, pauses = generation(n_users=300), []
    receipt = publish_all(client, values)
    names = client, APP, receipt.generation_id, receipt.release_id
    assert missing_values(*names, lambda: pauses.append("all of it")) is None
    monkeypatch.setattr(completeness, "KEYS_BESIDE_REQUESTS", 1)
    client.delete(users_key(APP, values.generation_id, 2))
    gone = missing_values(*names, lambda: pauses.append("key by key"))
    assert str(gone) == str(missing_values(*names))
    n_keys = bucket_count(receipt.n_users) + bucket_count(receipt.n_histories)
    assert n_keys > 2
    assert pauses == 2 * ["all of it"] + n_keys * ["key by key"]


def test_another_receipt_under_the_same_name_is_not_ours(client):
    receipt = publish_all(client)
    assert not is_published(client, APP, replace(receipt, checksum="0" * 16))
    assert not is_published(client, APP, replace(receipt, n_users=41))
    assert not is_published(client, "shop", receipt)


def test_two_releases_may_share_a_generation(client):
    first = publish_all(client)
    second = publish_all(client, release_id="r2")
    assert second == replace(first, release_id="r2")
    assert is_published(client, APP, first)
    assert is_published(client, APP, second)


@pytest.mark.parametrize("dies_after", [False, True], ids=["before a command", "after a command"])
def test_killed_between_any_two_commands_the_old_stays_served_and_a_rerun_finishes(client, redis_url, dies_after):
    old = publish_all(client)
    pointer = move_pointer(client, APP, "r1", old.generation_id, NO_POINTER_YET)
    before = everything(client)
    new = generation(n_users=150, seed=6)
    whole = publish_all(client, new, release_id="r2")
    complete = everything(client)
    commands = 0
    died = True
    while died:
        client.delete(*(key for key in complete if new.generation_id.encode() in key))
        with mortal_client(redis_url, commands, dies_after=dies_after) as mortal:
            try:
                publish_all(mortal, new, release_id="r2")
            except Killed:
                died = True
            else:
                died = False
        left = everything(client)
        assert before.items() <= left.items()
        assert all(contains(complete[key], value) for key, value in left.items())
        assert read_pointer(client, APP) == pointer
        if receipt_key(APP, new.generation_id).encode() in left:
            assert left == complete
        else:
            with pytest.raises(PublishIncomplete):
                move_pointer(client, APP, "r2", new.generation_id, pointer.epoch)
        client.delete(lease_key(APP))  # it would end by itself
        assert publish_all(client, new, release_id="r2") == whole
        assert everything(client) == complete
        commands += 1
    assert commands > 30  # so many commands it takes; fewer, and it was not killed where it matters


def contains(whole: object, part: object) -> bool:
    return part.items() <= whole.items() if isinstance(part, dict) else part == whole


def test_everything_written_is_listed_however_early_the_publisher_dies(client, redis_url):
    died, commands = True, 0
    while died:
        client.flushall()
        with mortal_client(redis_url, commands, dies_after=True) as mortal:
            try:
                publish_all(mortal)
            except Killed:
                died = True
            else:
                died = False
        listed = [entry.generation_id for entry in list_generations(client, APP)]
        assert listed == [generation().generation_id] or everything(client) == {}
        commands += 1


def test_a_generation_is_listed_with_when_it_was_begun_and_published(client):
    publish_all(client)
    (begun,) = list_generations(client, APP)
    assert (begun.generation_id, begun.release_id) == (generation().generation_id, "r1")
    assert (begun.n_users, begun.n_items, begun.n_histories) == (40, 30, 20)
    assert begun.published is not None
    assert begun.started <= begun.published
    publish_all(client)
    (again,) = list_generations(client, APP)
    assert again.started <= again.published
    assert begun.published <= again.published


def test_two_publishers_at_once_end_with_the_same(client, redis_url):
    alone = publish_all(client)
    stored = everything(client)
    client.flushall()

    def run(batch_size: int) -> Receipt:
        with connect(redis_url) as own:
            return publish_all(own, batch_size=batch_size)

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(run, [1, 3, 7, 11])) == {alone}
    assert everything(client) == stored
    assert not client.exists(lease_key(APP))


def test_who_waits_says_for_whom_and_goes_on_when_the_lease_has_run_out(client, capsys):
    client.set(lease_key(APP), "token elsewhere:77", px=1000)  # longer than a busy machine takes to ask for it
    assert publish_all(client).n_users == 40
    assert "waiting: elsewhere:77 is publishing" in capsys.readouterr().err


def test_the_lease_of_a_dead_process_of_this_machine_is_not_waited_out(client):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    client.set(lease_key(APP), f"token {socket.gethostname()}:{dead.pid}")  # never runs out
    assert publish_all(client).n_users == 40


def test_a_publisher_that_lost_its_turn_writes_no_receipt(client, monkeypatch):
    check = publishing._Publication.check_all_there

    def lose_it(self) -> None:
        check(self)
        client.set(lease_key(APP), "token somebody:1")

    monkeypatch.setattr(publishing._Publication, "check_all_there", lose_it)
    with pytest.raises(PublishIncomplete, match="lost the lease"):
        publish_all(client)
    assert read_receipt(client, APP, generation().generation_id, "r1") is None
    assert client.get(lease_key(APP)) == b"token somebody:1"


def test_a_store_that_loses_what_is_written_gives_no_receipt(client, monkeypatch):
    monkeypatch.setattr(publishing, "_write_differing", lambda client, differing: None)
    with pytest.raises(PublishIncomplete, match="maxmemory-policy"):
        publish_all(client)
    assert read_receipt(client, APP, generation().generation_id, "r1") is None


def test_a_store_that_loses_it_after_it_was_compared_gives_no_receipt(client, monkeypatch):
    settle_list = publishing._write_and_verify_list

    def lose_a_bucket(*arguments) -> None:
        settle_list(*arguments)
        client.delete(users_key(APP, generation().generation_id, 0))

    monkeypatch.setattr(publishing, "_write_and_verify_list", lose_a_bucket)
    with pytest.raises(PublishIncomplete, match="3 of 4 keys"):
        publish_all(client)
    assert read_receipt(client, APP, generation().generation_id, "r1") is None


def test_values_of_another_catalogue_are_refused_before_anything_is_written(client):
    values = generation()
    other = IdMap.of([*ids_of(values).ids, "i9999"])
    with pytest.raises(ReleaseMismatch) as refused:
        publish(client, APP, values, SCHEMAS, other, "r1", 10)
    assert other.fingerprint in str(refused.value)
    assert client.dbsize() == 0


def test_values_that_are_not_the_generation_they_say_get_no_receipt_and_mend_nothing(client, tmp_path):
    values, other = generation(), generation(seed=6)
    values.save(tmp_path)
    other.users.write_parquet(tmp_path / "user.parquet")
    with pytest.raises(ArtefactError, match=values.generation_id):
        publish_from(client, ValuesFolder(tmp_path), ids_of(values))
    assert read_receipt(client, APP, values.generation_id, "r1") is None
    publish_all(client)
    stored = everything(client)
    with pytest.raises(ArtefactError, match=values.generation_id):
        publish_from(client, ValuesFolder(tmp_path), ids_of(values))
    assert everything(client) == stored


def test_from_a_folder_the_same_is_stored_and_said_as_from_memory(client, tmp_path):
    values = generation(n_users=300, n_items=100)
    from_memory = publish_all(client, values)
    stored = everything(client)
    client.flushall()
    values.save(tmp_path)
    assert publish_from(client, ValuesFolder(tmp_path), ids_of(values)) == from_memory
    assert everything(client) == stored


def test_a_read_only_replica_says_so(client):
    client.replicaof("127.0.0.1", 1)
    try:
        with pytest.raises(StoreError, match="primary"):
            publish_all(client)
    finally:
        client.replicaof("no", "one")
    assert client.dbsize() == 0


def test_nobody_with_a_history_can_be_published(client):
    values = generation()
    alone = replace(values, histories=values.histories.clear(), users=values.users.clear(), as_of=AS_OF)
    receipt = publish_all(client, alone)
    assert (receipt.n_users, receipt.n_histories) == (0, 0)
    assert client.hlen(items_key(APP, alone.generation_id)) == 30


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b'{"n_users": 1}', b'{"format_version": 2}', b"\xff"],
)
def test_a_receipt_that_is_none_of_ours_is_an_error_that_says_how_to_remove_it(client, content):
    client.set(receipt_key(APP, "g"), content)
    with pytest.raises(StoreError, match="redis-cli del"):
        read_receipt(client, APP, "g", "r1")


def test_a_receipt_of_another_format_is_refused_with_both_versions(client):
    publish_all(client)
    key = receipt_key(APP, generation().generation_id)
    client.set(key, client.get(key).replace(b'"format_version":2', b'"format_version":3'))
    with pytest.raises(StoreError, match="format version 3; this Slatework reads 2"):
        read_receipt(client, APP, generation().generation_id, "r1")


def test_everybody_is_found_in_their_bucket_whatever_the_names(client):
    """Names that sort differently by letter, by number and by byte, at every place of a bucket."""
    alphabet = ["a", "B", "é", "中", "\U0001f600", "\uffff", "0", " ", "{", "\n"]
    names = sorted({first + second + str(number) for first in alphabet for second in alphabet for number in range(3)})
    values = generation(n_users=len(names))
    ids = dict(zip(values.users["user_id"], names, strict=True))
    renamed = replace(
        values,
        users=values.users.with_columns(pl.col("user_id").replace(ids)),
        histories=values.histories.with_columns(pl.col("user_id").replace(ids)),
    )
    publish_all(client, renamed)
    online = RedisFeatureReader(client, APP, renamed.generation_id, SCHEMAS, ids_of(renamed))
    offline = OfflineFeatureReader(renamed, SCHEMAS, ids_of(renamed))
    for name in names:
        found, expected = (reader.read_person(name, None, AS_OF) for reader in (online, offline))
        assert found.features.known.all()
        assert found.features.values.tobytes() == expected.features.values.tobytes()
        assert found.history.item_idx.tolist() == expected.history.item_idx.tolist()
    for stranger in ("", "~", "\U0010ffff", "a", names[64] + "x"):
        assert not online.read_person(stranger, None, AS_OF).features.known.any()


def test_people_that_are_there_twice_are_refused(client):
    values = generation()
    twice = replace(values, users=pl.concat([values.users, values.users.head(1)]))
    with pytest.raises(ArtefactError, match="once each"):
        publish_all(client, twice)
    assert read_receipt(client, APP, twice.generation_id, "r1") is None


def test_names_of_any_kind_can_be_published(client):
    values = generation()
    odd = {values.users["user_id"][0]: "名前 with: colons {and} braces", values.users["user_id"][1]: ""}
    renamed = replace(
        values,
        users=values.users.with_columns(pl.col("user_id").replace(odd)),
        histories=values.histories.with_columns(pl.col("user_id").replace(odd)),
    )
    assert is_published(client, APP, publish_all(client, renamed))
