import socket
import subprocess
import traceback

import pytest
import redis

from contracts.errors import StoreError, StoreUnavailable
from feature_store.online.bare_client import QuickClient
from feature_store.online.connection import connect, mapped_errors, named_url
from feature_store.server.server_program import free_port, server_command


def test_a_server_that_answers_gives_a_client_of_bytes(redis_url):
    with connect(redis_url, timeout_ms=1000) as client:
        client.set("a", "b")
        assert client.get("a") == b"b"


def test_nobody_there_is_unavailable_and_the_message_hides_the_password():
    port = free_port()
    with pytest.raises(StoreUnavailable) as refused:
        connect(f"redis://somebody:secret@127.0.0.1:{port}/0", timeout_ms=1000)
    assert f"redis://somebody:***@127.0.0.1:{port}/0" in str(refused.value)
    assert "secret" not in str(refused.value)
    assert "REDIS_URL" in refused.value.next_step


def test_a_server_that_says_nothing_is_unavailable_at_the_deadline():
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(StoreUnavailable, match="in time"):
        connect(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", timeout_ms=20)


def test_the_first_answer_is_waited_for_once_and_not_as_long_as_a_batch(monkeypatch):
    monkeypatch.setattr("feature_store.online.connection.FIRST_ANSWER_MS", 20)
    monkeypatch.setattr("feature_store.online.connection.PATIENT_TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(StoreUnavailable, match="in time"):
            connect(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        silent.settimeout(0)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):  # nobody tried a second time
            silent.accept()


@pytest.mark.parametrize("url", ["localhost:6379", "http://127.0.0.1:6379", ""])
def test_what_is_no_redis_url_is_said_to_be_none(url):
    with pytest.raises(StoreError, match="no Redis URL"):
        connect(url)


@pytest.mark.parametrize("secret", ["s3cret/s3cret", "12#s3cret", "12?s3cret", "12?a=s3cret", "s3c@s3cret", "s3[cret"])
def test_an_address_of_which_nobody_can_tell_where_its_password_ends_is_refused_and_not_printed(secret):
    for speak in (connect, lambda url: QuickClient(url).get("x")):
        with pytest.raises(StoreError, match="no Redis URL") as refused:
            speak(f"redis://:{secret}@127.0.0.1:1/0")
        text = "".join(traceback.format_exception(refused.value))
        assert not any(part in text for part in ("s3c", "12#", "12?"))
        assert "write % as %25" in refused.value.next_step


def test_a_password_in_the_query_is_not_printed():
    with pytest.raises(StoreUnavailable) as refused:
        connect(f"redis://127.0.0.1:{free_port()}/0?password=s3cret&db=0", timeout_ms=1000)
    assert "s3cret" not in str(refused.value)
    assert "?password=***&db=0" in str(refused.value)


def test_a_password_beside_the_address_opens_the_server(monkeypatch, tmp_path):
    secret, port = "/#?@:% ü'", free_port()
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{port}/0")
    monkeypatch.setenv("SLATE_REDIS_PASSWORD", secret)
    process = subprocess.Popen([*server_command(tmp_path, port), "--requirepass", secret])
    try:
        with redis.Redis(port=port, password=secret) as probe:
            while not answers(probe):
                pass
        url = named_url()
        assert url is not None
        with connect(url) as client, QuickClient(url) as quick:
            client.set("a", "b")
            assert quick.get("a") == b"b"
    finally:
        process.kill()
        process.wait()


def answers(probe):
    try:
        return probe.ping()
    except redis.exceptions.RedisError:
        return False


@pytest.mark.parametrize(
    ("theirs", "ours", "said"),
    [
        (redis.exceptions.ConnectionError("x"), StoreUnavailable, "cannot be reached"),
        (redis.exceptions.TimeoutError("x"), StoreUnavailable, "in time"),
        (redis.exceptions.ClusterDownError("CLUSTERDOWN x"), StoreUnavailable, "every slot"),
        (redis.exceptions.RedisClusterException("x"), StoreUnavailable, "every slot"),
        (redis.exceptions.AskError("1 127.0.0.1:7000"), StoreUnavailable, "moving our keys"),
        (redis.exceptions.TryAgainError("x"), StoreUnavailable, "moving our keys"),
        (redis.exceptions.BusyLoadingError("x"), StoreUnavailable, "loading"),
        (redis.exceptions.AuthenticationError("x"), StoreUnavailable, "REDIS_URL"),
        (redis.exceptions.OutOfMemoryError("x"), StoreError, "maxmemory"),
        (redis.exceptions.ReadOnlyError("x"), StoreError, "primary"),
        (redis.exceptions.ResponseError("x"), StoreError, "log"),
    ],
)
def test_each_error_of_redis_becomes_ours_with_a_next_step(theirs, ours, said):
    with pytest.raises(ours, match=said) as mapped, mapped_errors("here"):
        raise theirs
    assert type(mapped.value) is ours
    assert mapped.value.__cause__ is theirs
