"""Collecting from a real Redis: what is referred to stays whole, what is not goes, however it is cut short."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Self

import pytest
import redis

from contracts.errors import PublishIncomplete
from feature_store.online.connection import connect
from feature_store.online.keys import canary_key, generations_key, lease_key, pointer_key, receipt_key, staging_key
from feature_store.online.pointer import NO_POINTER_YET, move_pointer, read_pointer
from feature_store.publishing.garbage_collection import GarbageCollection, collect_garbage, unlisted_generations
from feature_store.publishing.generations import list_generations
from feature_store.readers.online_reader import RedisFeatureReader
from tests.integration.online_store.test_publish import APP, everything, mortal_client, publish_all
from tests.killed import Killed
from tests.unit.feature_store.worlds import AS_OF, SCHEMAS, generation, ids_of

AT_ONCE = timedelta(0)
GENERATIONS = [generation(n_users=150, n_items=40, seed=seed) for seed in (1, 2, 3)]
IDS = [values.generation_id for values in GENERATIONS]


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url) as client:
        yield client


@pytest.fixture
def published(client: redis.Redis) -> list[str]:
    for number, values in enumerate(GENERATIONS):
        publish_all(client, values, batch_size=1000, release_id=f"r{number}")
    return IDS


def run(client: redis.Redis, keep=(), grace: timedelta = AT_ONCE, batch_size: int = 3) -> GarbageCollection:
    return collect_garbage(client, APP, dict.fromkeys(keep, "wanted"), grace, batch_size)


def left(client: redis.Redis) -> set[str]:
    """The generations that have keys."""
    return {generation_id for generation_id in IDS if any(generation_id.encode() in key for key in client.scan_iter())}


def test_what_nothing_refers_to_goes_with_every_key_and_its_entry(client, published):
    done = run(client, keep=published[:1])
    assert [(one.generation_id, one.release_id) for one in done.removed] == [(IDS[1], "r1"), (IDS[2], "r2")]
    assert [(one.generation_id, one.why) for one in done.kept] == [(IDS[0], "wanted")]
    assert left(client) == {IDS[0]}
    assert [entry.generation_id for entry in list_generations(client, APP)] == [IDS[0]]


def test_the_keys_removed_are_counted(client, published):
    before = client.dbsize()
    done = run(client, keep=published[:2])
    assert [one.n_keys for one in done.removed] == [before - client.dbsize() - 1]  # the receipt goes first, by itself


@pytest.mark.parametrize(
    ("key_of", "why"),
    [(pointer_key, "served"), (staging_key, "in Staging"), (canary_key, "a canary's")],
    ids=["pointer", "staging", "canary"],
)
def test_what_a_pointer_names_is_never_collected(client, published, key_of, why):
    client.set(key_of(APP), json.dumps({"release_id": "r1", "generation_id": IDS[1], "epoch": 1}))
    before = everything(client)
    done = run(client)
    assert left(client) == {IDS[1]}
    assert [(one.generation_id, one.why) for one in done.kept] == [(IDS[1], why)]
    assert {key: value for key, value in before.items() if IDS[1].encode() in key}.items() <= everything(client).items()


@pytest.mark.parametrize("content", [b"", b"{", b"7", b"[]"])
def test_a_pointer_that_cannot_be_read_spares_everything(client, published, content):
    client.set(staging_key(APP), content)
    assert run(client).removed == ()
    assert left(client) == set(IDS)


def test_what_was_published_within_the_grace_stays(client, published):
    done = run(client, grace=timedelta(hours=1))
    assert done.removed == ()
    assert all("within the grace" in one.why for one in done.kept)


def test_what_was_begun_and_never_finished_goes_after_the_grace(client, redis_url):
    with mortal_client(redis_url, 20, dies_after=True) as mortal, pytest.raises(Killed):
        publish_all(mortal, GENERATIONS[0])
    client.delete(lease_key(APP))
    assert left(client) == {IDS[0]}
    assert [one.why[:5] for one in run(client, grace=timedelta(hours=1)).kept] == ["begun"]
    assert [one.generation_id for one in run(client).removed] == [IDS[0]]
    assert left(client) == set()


def test_what_the_list_lost_is_found_and_collected(client, published):
    client.delete(generations_key(APP))
    assert unlisted_generations(client, APP, batch_size=10) == set(IDS)
    done = run(client, keep=published[:1])
    assert {(one.generation_id, one.release_id) for one in done.removed} == {(IDS[1], None), (IDS[2], None)}
    assert left(client) == {IDS[0]}


def test_what_the_first_format_left_goes_and_nothing_else_does(client, published):
    first_format = "0123456789abcdef"
    others = [f"slate:{{{APP}}}:s:{first_format}:u:1", f"slate:{{shop}}:{first_format}:u:1", f"slate:{{{APP}}}:events"]
    for key in [f"slate:{{{APP}}}:{first_format}:{what}" for what in ("u:1", "h:a:b\nc", "i:7", "receipt")] + others:
        client.set(key, b"")
    assert [one.generation_id for one in run(client, keep=published).removed] == [first_format]
    assert sorted(key.decode() for key in client.scan_iter(f"*{first_format}*")) == sorted(others[:2])
    assert client.exists(*others) == 3
    assert left(client) == set(IDS)


def test_no_pointer_can_move_to_what_is_being_collected(client, redis_url, published):
    """Killed right behind the receipt: the values are there still, and cannot be promoted any more."""
    commands = 0
    while client.exists(receipt_key(APP, IDS[0])):
        with mortal_client(redis_url, commands, dies_after=True) as mortal, pytest.raises(Killed):
            run(mortal)
        client.delete(lease_key(APP))
        commands += 1
    assert left(client) >= {IDS[0]}
    with pytest.raises(PublishIncomplete):
        move_pointer(client, APP, "r0", IDS[0], NO_POINTER_YET)


@pytest.mark.parametrize("dies_after", [False, True], ids=["before a command", "after a command"])
def test_killed_between_any_two_commands_readers_notice_nothing_and_the_next_finishes(client, redis_url, dies_after):
    for values in GENERATIONS[:2]:
        publish_all(client, values, batch_size=1000)
    pointer = move_pointer(client, APP, "r0", IDS[0], NO_POINTER_YET)
    served = {key: value for key, value in everything(client).items() if IDS[1].encode() not in key}
    with Answers(redis_url) as answers:
        died, commands = True, 0
        while died:
            publish_all(client, GENERATIONS[1], batch_size=1000)
            with mortal_client(redis_url, commands, dies_after=dies_after) as mortal:
                try:
                    run(mortal)
                except Killed:
                    died = True
                else:
                    died = False
            client.delete(lease_key(APP))  # it would end by itself
            assert served.items() <= everything(client).items()
            listed = [entry.generation_id for entry in list_generations(client, APP)]
            assert IDS[1] in listed or left(client) == {IDS[0]}
            run(client)
            assert left(client) == {IDS[0]}
            assert everything(client) == served
            commands += 1
    assert commands > 10
    assert read_pointer(client, APP) == pointer
    assert answers.wrong == 0
    assert answers.n > 0


class Answers:
    """What readers of the generation that is served have seen."""

    def __init__(self, redis_url: str) -> None:
        values = GENERATIONS[0]
        self._client = connect(redis_url)
        self._reader = RedisFeatureReader(self._client, APP, IDS[0], SCHEMAS, ids_of(values))
        self._user_ids = values.users["user_id"].to_list()
        self._item_ids = values.items["item_id"].to_list()
        self._stop = threading.Event()
        self.n = self.wrong = 0

    def read(self) -> None:
        while not self._stop.is_set() or not self.n:
            person = self._reader.read_person(self._user_ids[self.n % len(self._user_ids)], None, AS_OF)
            items = self._reader.read_items(self._item_ids, AS_OF)
            self.wrong += not (person.features.known.all() and items.known.all())
            self.n += 1

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(1)
        self._reading = self._pool.submit(self.read)
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._reading.result()
        self._pool.shutdown()
        self._client.close()


def test_two_at_once_collect_what_one_would(client, redis_url, published):
    def collect_all(_number: int) -> GarbageCollection:
        with connect(redis_url) as own:
            return run(own, keep=published[:1])

    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(collect_all, range(3)))
    assert sorted(one.generation_id for collection in done for one in collection.removed) == sorted(IDS[1:])
    assert left(client) == {IDS[0]}


def test_who_lost_the_lease_removes_nothing_more(client, published, monkeypatch):
    from feature_store.publishing import garbage_collection

    def lose_it(client: redis.Redis, app: str) -> list:
        listed = list_generations(client, app)
        client.set(lease_key(APP), "token somebody:1")
        return listed

    monkeypatch.setattr(garbage_collection, "list_generations", lose_it)
    before = everything(client)
    with pytest.raises(PublishIncomplete, match="lost the lease"):
        run(client)
    assert everything(client) == before
