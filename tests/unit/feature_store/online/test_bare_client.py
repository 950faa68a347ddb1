"""A bare socket and the client library get the same from a real Redis, and what is odd goes to the library."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
import redis

from contracts.errors import StoreError, StoreUnavailable
from feature_store.online.bare_client import BareClient, BareError, NoReply, QuickClient
from feature_store.online.connection import connect
from feature_store.online.pointer import NO_POINTER_YET, move_pointer, read_pointer
from feature_store.online.receipt import receipt_key
from feature_store.server.server_program import free_port


@pytest.fixture
def library(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url) as client:
        yield client


@pytest.mark.parametrize(
    "script", ["return {1, 'two', {'three', 4}, false}", "return 5", "return nil", "return ARGV[1]", "return {}"]
)
def test_a_script_returns_what_it_returns_to_the_client_library(redis_url, library, script):
    arguments = (1, "key", b"\xff\x00\r\n")
    with QuickClient(redis_url) as client:
        assert client.eval(script, *arguments) == library.eval(script, *arguments)


@pytest.mark.parametrize("content", [b"", b"\r\n", b"$3\r\nabc", b"\x00" * 70_000])
def test_a_value_comes_back_byte_for_byte(redis_url, library, content):
    library.set("key", content)
    with QuickClient(redis_url) as client:
        assert client.get("key") == content
        assert client.get("no such key") is None


def test_the_pointer_moves_without_the_client_library(redis_url, library):
    library.set(receipt_key("movies", "g1"), b"{}")
    program = (
        "import sys\n"
        "from feature_store.online.bare_client import QuickClient\n"
        "from feature_store.online.pointer import move_pointer\n"
        f"move_pointer(QuickClient({redis_url!r}), 'movies', 'r1', 'g1', 0)\n"
        "print('redis' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    moved = read_pointer(library, "movies")
    assert moved is not None
    assert (moved.release_id, moved.epoch) == ("r1", 1)


def test_every_other_command_goes_through_the_client_library(redis_url, library):
    with QuickClient(redis_url) as client:
        client.whole().set("a", "1")
        assert client.whole().mget(["a", "b"]) == [b"1", None]


def test_what_the_server_refuses_is_the_error_it_always_is(redis_url, library):
    library.rpush("list", "1")
    with QuickClient(redis_url) as client, pytest.raises(redis.exceptions.ResponseError, match="WRONGTYPE"):
        client.get("list")


def test_nobody_there_is_unavailable():
    with QuickClient(f"redis://127.0.0.1:{free_port()}/0") as client, pytest.raises(StoreUnavailable):
        read_pointer(client, "movies")


def test_a_connection_that_was_lost_is_made_again(redis_url, library):
    library.set("key", "value")
    with QuickClient(redis_url) as client:
        library.client_kill_filter(_type="normal", skipme=True)
        assert client.get("key") == b"value"


@pytest.mark.parametrize(
    "url", ["rediss://localhost", "unix:///tmp/redis.sock", "redis://localhost?timeout=3", "http://x"]
)
def test_an_address_of_another_kind_is_left_to_the_client_library(url):
    with pytest.raises(BareError, match="client library"):
        BareClient(url)


def test_what_is_no_address_is_said_to_be_none():
    with QuickClient("localhost:6379") as client, pytest.raises(StoreError, match="no Redis URL"):
        read_pointer(client, "movies")


def test_another_database_of_the_server_is_another_one(redis_url, library):
    library.set(receipt_key("movies", "g1"), b"{}")
    move_pointer(library, "movies", "r1", "g1", NO_POINTER_YET)
    with QuickClient(redis_url.removesuffix("/0") + "/1") as client:
        assert read_pointer(client, "movies") is None


@contextmanager
def a_server_that_says(*replies: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Its port, and what it heard: to each message one reply, then it hangs up."""
    heard: list[bytes] = []

    def answer() -> None:
        connection = listening.accept()[0]
        with closing(connection):
            for reply in replies:
                heard.append(connection.recv(4096))
                connection.sendall(reply)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer)
        thread.start()
        yield listening.getsockname()[1], heard
        thread.join()


def test_user_and_password_are_shown_first():
    with a_server_that_says(b"+OK\r\n", b"+OK\r\n") as (port, heard):
        BareClient(f"redis://ada:p%40ss@127.0.0.1:{port}/2").close()
    assert heard[0] == b"*3\r\n$4\r\nAUTH\r\n$3\r\nada\r\n$4\r\np@ss\r\n"
    assert heard[1] == b"*2\r\n$6\r\nSELECT\r\n$1\r\n2\r\n"


@pytest.mark.parametrize(
    ("reply", "error"),
    [(b"", NoReply), (b"$5\r\nab", NoReply), (b"HTTP/1.1 400\r\n", BareError), (b"-NO\r\n", BareError)],
)
def test_a_reply_that_is_none_is_an_error(reply, error):
    with (
        a_server_that_says(reply) as (port, _),
        closing(BareClient(f"redis://127.0.0.1:{port}")) as client,
        pytest.raises(error),
    ):
        client.ask("GET", "key")
