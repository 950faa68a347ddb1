"""Publishing into a real Redis: whole or not at all, however it is cut short."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import polars as pl
import pytest
import redis

from contracts.errors import PublishIncomplete, ReleaseMismatch, StoreError
from contracts.id_map import IdMap
from feature_store.connection import connect
from feature_store.keys import receipt_key
from feature_store.pointer import NO_POINTER_YET, move_pointer, read_pointer
from feature_store.publishing import Receipt, is_published, publish
from feature_store.receipt import read_receipt
from tests.unit.feature_store.worlds import AS_OF, SCHEMAS, generation, ids_of

APP = "movies"
N_VALUES = 40 + 30 + 20  # people, items, histories of `generation()`


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url) as client:
        yield client


class Killed(BaseException):
    """The publisher died: no handler of ours may catch it."""


class MortalClient(redis.Redis):
    """Dies at its n-th command: before it is sent, or after it was carried out but before the answer is heard."""

    def live_for(self, n_commands: int, *, dies_after: bool) -> MortalClient:
        self.left, self.dies_after = n_commands, dies_after
        return self

    def execute_command(self, *args, **options):
        self.left -= 1
        if self.left < 0 and not self.dies_after:
            raise Killed
        answer = super().execute_command(*args, **options)
        if self.left < 0:
            raise Killed
        return answer


def publish_all(client: redis.Redis, values=None, batch_size: int = 20, release_id: str = "r1") -> Receipt:
    values = values or generation()
    return publish(client, APP, values, SCHEMAS, ids_of(values), release_id, batch_size)


def everything(client: redis.Redis) -> dict[bytes, bytes]:
    return {key: client.get(key) for key in client.scan_iter()}


def written_keys(client: redis.Redis) -> int:
    """How many SET and MSET commands the server has carried out."""
    stats = client.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("set", "mset"))


def test_every_value_and_the_receipt_are_there_afterwards(client):
    receipt = publish_all(client)
    assert client.dbsize() == N_VALUES + 1
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
    before = written_keys(client)
    assert publish_all(client) == receipt
    assert written_keys(client) - before == 1


def test_publishing_again_writes_only_what_is_missing_or_wrong(client, monkeypatch):
    receipt = publish_all(client)
    stored = everything(client)
    lost, *_, wrong = sorted(key for key in stored if b":u:" in key)
    client.delete(lost)
    client.set(wrong, b"rubbish")
    sent: list[str] = []
    mset = client.mset
    monkeypatch.setattr(client, "mset", lambda values: (sent.extend(values), mset(values)))
    assert publish_all(client) == receipt
    assert sorted(sent) == [lost.decode(), wrong.decode()]
    assert everything(client) == stored


def test_a_flushed_store_is_noticed(client):
    receipt = publish_all(client)
    client.flushall()
    assert not is_published(client, APP, receipt)
    assert publish_all(client) == receipt
    assert is_published(client, APP, receipt)


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
    new = generation(seed=6)
    whole = publish_all(client, new, release_id="r2")
    complete = everything(client)
    commands = 0
    while True:
        client.delete(*(key for key in complete if new.generation_id.encode() in key))
        mortal = MortalClient.from_url(redis_url, protocol=2).live_for(commands, dies_after=dies_after)
        with mortal:
            try:
                publish_all(mortal, new, release_id="r2")
            except Killed:
                died = True
            else:
                died = False
        left = everything(client)
        assert before.items() <= left.items()
        assert left.items() <= complete.items()
        assert read_pointer(client, APP) == pointer
        if receipt_key(APP, new.generation_id).encode() in left:
            assert left == complete
        else:
            with pytest.raises(PublishIncomplete):
                move_pointer(client, APP, "r2", new.generation_id, pointer.epoch)
        assert publish_all(client, new, release_id="r2") == whole
        assert everything(client) == complete
        if not died:
            break
        commands += 1
    assert commands == 3 * 5 + 1  # three commands for each of 2 + 2 + 1 batches, and the receipt


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


def test_a_store_that_loses_what_is_written_gives_no_receipt(client, monkeypatch):
    monkeypatch.setattr(client, "mset", lambda values: None)
    with pytest.raises(PublishIncomplete, match="maxmemory-policy"):
        publish_all(client)
    assert read_receipt(client, APP, generation().generation_id, "r1") is None


def test_values_of_another_catalogue_are_refused_before_anything_is_written(client):
    values = generation()
    other = IdMap.of([*ids_of(values).ids, "i9999"])
    with pytest.raises(ReleaseMismatch) as refused:
        publish(client, APP, values, SCHEMAS, other, "r1", 10)
    assert other.fingerprint in str(refused.value)
    assert client.dbsize() == 0


def test_a_store_without_memory_says_so_and_a_rerun_goes_on(client):
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(StoreError, match="maxmemory"):
            publish_all(client)
    finally:
        client.config_set("maxmemory", 0)
    assert read_receipt(client, APP, generation().generation_id, "r1") is None
    assert publish_all(client).n_users == 40


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
    assert client.dbsize() == 30 + 1


@pytest.mark.parametrize("content", [b"", b"[]", b'{"n_users": 1}', b"\xff"])
def test_a_receipt_that_is_none_of_ours_is_an_error_that_says_how_to_remove_it(client, content):
    client.set(receipt_key(APP, "g"), content)
    with pytest.raises(StoreError, match="redis-cli del"):
        read_receipt(client, APP, "g", "r1")


def test_names_of_any_kind_can_be_published(client):
    values = generation()
    odd = {values.users["user_id"][0]: "名前 with: colons {and} braces", values.users["user_id"][1]: ""}
    renamed = replace(
        values,
        users=values.users.with_columns(pl.col("user_id").replace(odd)),
        histories=values.histories.with_columns(pl.col("user_id").replace(odd)),
    )
    assert is_published(client, APP, publish_all(client, renamed))
