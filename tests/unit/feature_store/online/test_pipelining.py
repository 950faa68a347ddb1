from collections.abc import Iterator

import pytest
import redis
from redis.exceptions import ResponseError

from feature_store.online.connection import connect
from feature_store.online.pipelining import raise_refused, send_pipelined


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url) as client:
        yield client


def test_answers_come_in_the_order_of_the_commands(client):
    assert send_pipelined(client, [("SET", "a", b"1"), ("GET", "a"), ("HGETALL", "b")]) == [b"OK", b"1", []]


def test_no_commands_have_no_answers(client):
    assert send_pipelined(client, []) == []


def test_a_refused_command_is_an_answer_and_the_others_are_carried_out(client):
    first, refused, last = send_pipelined(client, [("SET", "a", b"1"), ("HGETALL", "a"), ("GET", "a")])
    assert (first, last) == (b"OK", b"1")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        raise_refused([first, refused, last])
    raise_refused([first, last])


def test_an_answer_that_nobody_heard_is_not_taken_for_the_next_ones(client, monkeypatch):
    connection = client.connection_pool.get_connection()
    client.connection_pool.release(connection)

    def interrupted(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(connection, "read_response", interrupted)
        with pytest.raises(KeyboardInterrupt):
            send_pipelined(client, [("SET", "a", b"1")])
    assert client.get("b") is None
