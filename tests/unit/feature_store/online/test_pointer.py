from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from contracts.errors import PointerMoved, PublishIncomplete, StoreError
from feature_store.online.connection import connect
from feature_store.online.keys import pointer_key, receipt_key
from feature_store.online.pointer import NO_POINTER_YET, Pointer, move_pointer, read_pointer

APP = "movies"


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url) as client:
        for generation_id in ("g1", "g2"):
            client.set(receipt_key(APP, generation_id), b"{}")
        yield client


def test_there_is_no_pointer_at_first(client):
    assert read_pointer(client, APP) is None


def test_a_move_is_read_back_and_counts_the_epoch_up(client):
    first = move_pointer(client, APP, "r1", "g1", NO_POINTER_YET)
    assert first == Pointer("r1", "g1", epoch=1)
    second = move_pointer(client, APP, "r2", "g2", first.epoch)
    assert second == read_pointer(client, APP) == Pointer("r2", "g2", epoch=2)


@pytest.mark.parametrize("expected", [0, 2, 7])
def test_a_move_from_another_epoch_is_refused_and_moves_nothing(client, expected):
    first = move_pointer(client, APP, "r1", "g1", NO_POINTER_YET)
    with pytest.raises(PointerMoved, match="r1"):
        move_pointer(client, APP, "r2", "g2", expected)
    assert read_pointer(client, APP) == first


def test_a_move_from_a_pointer_that_is_gone_is_refused(client):
    with pytest.raises(PointerMoved, match="not there"):
        move_pointer(client, APP, "r1", "g1", 3)
    assert read_pointer(client, APP) is None


def test_a_generation_without_a_receipt_is_refused_and_nothing_moves(client):
    first = move_pointer(client, APP, "r1", "g1", NO_POINTER_YET)
    with pytest.raises(PublishIncomplete, match="g3"):
        move_pointer(client, APP, "r3", "g3", first.epoch)
    assert read_pointer(client, APP) == first


def test_of_many_moves_from_one_epoch_exactly_one_wins(client):
    def attempt(number: int) -> Pointer | None:
        try:
            return move_pointer(client, APP, f"r{number}", "g1", NO_POINTER_YET)
        except PointerMoved:
            return None

    with ThreadPoolExecutor(8) as pool:
        won = [pointer for pointer in pool.map(attempt, range(40)) if pointer]
    assert won == [read_pointer(client, APP)]


def test_applications_have_pointers_of_their_own(client):
    move_pointer(client, APP, "r1", "g1", NO_POINTER_YET)
    assert read_pointer(client, "shop") is None
    with pytest.raises(PublishIncomplete):
        move_pointer(client, "shop", "r1", "g1", NO_POINTER_YET)


@pytest.mark.parametrize("content", [b"", b"7", b"[]", b'{"epoch": 1}', b"\xff"])
def test_a_pointer_that_is_none_of_ours_is_an_error_that_says_how_to_remove_it(client, content):
    client.set(pointer_key(APP), content)
    with pytest.raises(StoreError, match="redis-cli del"):
        read_pointer(client, APP)
