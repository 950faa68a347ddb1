from collections.abc import Iterator
from dataclasses import replace

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import PointerMoved, PublishIncomplete, StoreError
from feature_store.online.connection import connect
from feature_store.online.keys import canary_key, receipt_key, staging_key
from feature_store.online.pointer import NO_POINTER_YET, Pointer, move_pointer
from feature_store.online.serving_targets import (
    Canary,
    ServingTargets,
    Staged,
    end_canary,
    read_serving_targets,
    set_canary,
    set_staged,
)

APP = "movies"
CANARY = Canary("r2", "g2", share=0.25, salt="s", started_ts=1_700_000_000)


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url) as client:
        for generation_id in ("g1", "g2", "g3"):
            client.set(receipt_key(APP, generation_id), b"{}")
        yield client


@pytest.fixture
def pointer(client) -> Pointer:
    return move_pointer(client, APP, "r1", "g1", NO_POINTER_YET)


def test_at_first_there_is_no_pointer_nothing_staged_and_no_canary(client):
    assert read_serving_targets(client, APP) == ServingTargets()


def test_what_was_set_is_read_back_in_one_look(client, pointer):
    set_staged(client, APP, Staged("r2", "g2"))
    set_canary(client, APP, CANARY, None, pointer.epoch)
    assert read_serving_targets(client, APP) == ServingTargets(pointer, Staged("r2", "g2"), CANARY)


def test_nothing_stands_in_staging_after_it_was_taken_out(client):
    set_staged(client, APP, Staged("r2", "g2"))
    set_staged(client, APP, None)
    assert read_serving_targets(client, APP).staged is None


def test_neither_staging_nor_a_canary_can_name_a_generation_that_is_not_published(client, pointer):
    with pytest.raises(PublishIncomplete, match="g9"):
        set_staged(client, APP, Staged("r9", "g9"))
    with pytest.raises(PublishIncomplete, match="g9"):
        set_canary(client, APP, replace(CANARY, generation_id="g9"), None, pointer.epoch)
    assert read_serving_targets(client, APP) == ServingTargets(pointer)


def test_a_share_is_changed_only_by_who_knows_the_canary_that_runs(client, pointer):
    set_canary(client, APP, CANARY, None, pointer.epoch)
    larger = replace(CANARY, share=0.5)
    set_canary(client, APP, larger, CANARY, pointer.epoch)
    with pytest.raises(PointerMoved):
        set_canary(client, APP, replace(CANARY, share=0.9), CANARY, pointer.epoch)
    with pytest.raises(PointerMoved):
        set_canary(client, APP, CANARY, None, pointer.epoch)
    assert read_serving_targets(client, APP).canary == larger


@pytest.mark.parametrize("epoch", [0, 2])
def test_a_canary_is_not_started_beside_another_pointer_than_the_one_that_was_read(client, pointer, epoch):
    with pytest.raises(PointerMoved):
        set_canary(client, APP, CANARY, None, epoch)
    assert read_serving_targets(client, APP).canary is None


def test_a_canary_ends_when_the_pointer_moves_to_another_release(client, pointer):
    set_canary(client, APP, CANARY, None, pointer.epoch)
    moved = move_pointer(client, APP, "r2", "g2", pointer.epoch)
    assert read_serving_targets(client, APP) == ServingTargets(moved)


def test_a_canary_goes_on_when_the_release_it_is_compared_with_gets_fresher_values(client, pointer):
    set_canary(client, APP, CANARY, None, pointer.epoch)
    moved = move_pointer(client, APP, "r1", "g3", pointer.epoch)
    assert read_serving_targets(client, APP) == ServingTargets(moved, canary=CANARY)


def test_only_the_canary_that_was_read_is_ended(client, pointer):
    set_canary(client, APP, CANARY, None, pointer.epoch)
    assert not end_canary(client, APP, replace(CANARY, share=0.5))
    assert end_canary(client, APP, CANARY)
    assert not end_canary(client, APP, CANARY)
    assert read_serving_targets(client, APP).canary is None


@pytest.mark.parametrize("key", [staging_key(APP), canary_key(APP)])
@pytest.mark.parametrize("content", [b"7", b"[]", b'{"release_id": "r1"}', b"\xff"])
def test_what_is_none_of_ours_is_an_error_that_says_how_to_remove_it(client, key, content):
    client.set(key, content)
    with pytest.raises(StoreError, match="redis-cli del"):
        read_serving_targets(client, APP)


@given(st.text(max_size=40), st.floats(0, 1), st.floats(0, 1))
def test_whoever_is_in_a_small_share_is_in_every_larger_one(person, one, other):
    small, large = sorted((one, other))
    if replace(CANARY, share=small).takes(person):
        assert replace(CANARY, share=large).takes(person)


def test_a_share_of_none_takes_nobody_and_a_share_of_all_takes_everybody():
    people = [str(number) for number in range(1000)]
    assert not any(replace(CANARY, share=0).takes(person) for person in people)
    assert all(replace(CANARY, share=1).takes(person) for person in people)


def test_a_quarter_is_a_quarter_and_another_salt_takes_others():
    people = [str(number) for number in range(10_000)]
    taken = {person for person in people if CANARY.takes(person)}
    others = {person for person in people if replace(CANARY, salt="t").takes(person)}
    # Binomial with n = 10,000: five standard deviations are 0.022.
    assert abs(len(taken) / 10_000 - 0.25) < 0.022
    assert abs(len(taken & others) / 10_000 - 0.0625) < 0.0121
