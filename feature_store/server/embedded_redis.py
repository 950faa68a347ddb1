"""The Redis server that comes with us: used when REDIS_URL is not set, so that a laptop needs no server installed.

One server per SLATE_HOME, on loopback TCP, with its state in `<home>/redis/`:

    appendonly.aof   every write, before it is answered (in `appendonlydir` with Redis 7): what a killed server held
    dump.rdb     the data, saved when the server stops and every six hours in which something changed
    unsaved      there from the server's start until it ends saved; says which of the two is read next
    redis.log    what the server says
    url          where it listens; may be stale after a crash, so it is always checked against the server
    alive        locked by the server itself while it lives (the lock comes to it through an inherited descriptor)
    starting     locked by whoever is starting or stopping it
    users        locked, shared, by everybody inside `online_store`
    temporary    there when `online_store` started the server: then the last one to leave stops it

`starting` is a lock of filelock, like all others of ours. `alive` and `users` are of fcntl: filelock has no lock that a
child process inherits, and none that many hold at once.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from contracts.errors import Busy, PortTaken, StoreError, StoreUnavailable
from contracts.home import Home
from contracts.whole_files import write_whole
from feature_store.online.bare_client import BareClient, BareError, NoReply
from feature_store.online.connection import named_url
from feature_store.server.append_only import begin_append_only
from feature_store.server.server_program import (
    LOG,
    check_free,
    fixed_port,
    free_port,
    log_end,
    log_since,
    log_size,
    server_binary,
    server_command,
)

__all__ = ["is_alive", "online_store", "running", "serve", "server_binary", "start", "stop"]

START_TIMEOUT_S = 120.0  # on a busy machine a GB of the append-only file loads in this time
STOP_TIMEOUT_S = 120.0  # and is saved in this
ANSWER_TIMEOUT_S = 2.0  # whatever listens on a stale port may never answer
POLL_S = 0.01
PORT_ATTEMPTS = 5  # somebody else may take a free port between our choosing it and Redis' binding it


@contextmanager
def online_store(home: Home) -> Iterator[str]:
    """The URL of a Redis server to use in this block: REDIS_URL when set, else the embedded server.

    An embedded server that had to be started for the block is stopped, and saved, when the last such block ends.
    """
    named = named_url()
    if named:
        yield named
        return
    with _start_lock(home):
        users = _open_lock(home.redis / "users")
        fcntl.flock(users, fcntl.LOCK_SH)
        url = _url_once_alive(home) or _start(home, temporary=True)
    try:
        yield url
    finally:
        with _start_lock(home):
            os.close(users)
            if _is_temporary(home) and not _is_locked(home.redis / "users"):
                _stop(home)


def start(home: Home) -> str:
    """Start the server unless it runs, and leave it running; returns its URL.

    Raises StoreUnavailable with the end of its log when it does not start, PortTaken when SLATE_REDIS_PORT is in use.
    """
    with _start_lock(home):
        url = _url_once_alive(home) or _start(home, temporary=False)
        (home.redis / "temporary").unlink(missing_ok=True)
        return url


def stop(home: Home) -> None:
    """Save and stop the server; nothing to do when none runs. Raises StoreError when it cannot save."""
    with _start_lock(home):
        _stop(home)


def stop_left_over(home: Home) -> str | None:
    """Save and stop a server that nobody uses: of a command that was killed, or that could not save. Returns its URL.

    Raises StoreError when it cannot save.
    """
    with _start_lock(home):
        url = running(home)
        if url is None or _is_locked(home.redis / "users"):
            return None
        _stop(home)
        return url


def running(home: Home) -> str | None:
    """The URL of this home's server when it answers, else None; also None while it still loads its data."""
    try:
        url = (home.redis / "url").read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    try:
        with closing(BareClient(url, ANSWER_TIMEOUT_S)) as client:
            answer = client.ask("CONFIG", "GET", "dir")
            # Refused while the server loads, where CONFIG is answered; PING is refused on a full disk too, and ECHO is
            # answered by Redis 7 before it has loaded.
            client.ask("DBSIZE")
    except (OSError, BareError, ValueError):
        return None
    # Another program, or the server of another home, may listen on that port by now.
    return url if answer == [b"dir", os.fsencode(home.redis.resolve())] else None


def is_alive(home: Home) -> bool:
    """Whether a server of this home lives, answering or not."""
    home.redis.mkdir(parents=True, exist_ok=True)
    return _is_locked(home.redis / "alive")


def serve(home: Home, port: int) -> None:
    """Become the server, in the foreground, for a process manager; SIGTERM saves and ends it. Does not return.

    Raises Busy when this home's server runs already, PortTaken when something else listens on the port.
    """
    with _start_lock(home):
        if _is_temporary(home) and not _is_locked(home.redis / "users"):
            _stop(home)  # left over from a command that was killed
        alive = _take_alive_lock(home)
        try:
            check_free(port)
        except PortTaken:
            os.close(alive)
            raise
        (home.redis / "temporary").unlink(missing_ok=True)
        begin_append_only(home.redis)
        _write_url(home, port)
        arguments = server_command(home.redis, port)
        os.set_inheritable(alive, True)
        # The lock on `starting` ends with this; the one on `alive` lives on in the server.
        os.execv(arguments[0], arguments)  # noqa: S606 - a fixed list, no shell


def _start(home: Home, *, temporary: bool) -> str:
    fixed = fixed_port()
    for _ in range(PORT_ATTEMPTS):
        if fixed:
            check_free(fixed)
        url = _launch(home, fixed or free_port())
        if url:
            if temporary:
                (home.redis / "temporary").touch()
            return url
    raise StoreUnavailable(f"The embedded Redis did not start.\n{log_end(home.redis)}", _see_log(home))


def _launch(home: Home, port: int) -> str | None:
    """Start the server on a port; None when somebody else took the port first."""
    alive = _take_alive_lock(home)
    size_before = log_size(home.redis)
    try:
        begin_append_only(home.redis)
        _write_url(home, port)  # before the server starts: without it, nobody would find the server to stop it
        _daemonize(home, port, alive)
    finally:
        os.close(alive)
    return _wait_until_it_answers(home, size_before)


def _daemonize(home: Home, port: int, alive: int) -> None:
    try:
        subprocess.run(
            [*server_command(home.redis, port), "--daemonize", "yes"],
            pass_fds=[alive],
            check=True,
            capture_output=True,
            text=True,
            start_new_session=True,
        )
    except (subprocess.CalledProcessError, OSError) as error:
        output = getattr(error, "stdout", "") or str(error)
        raise StoreUnavailable(f"{server_binary()} did not start: {output.strip()}", _see_log(home)) from error


def _wait_until_it_answers(home: Home, size_before: int) -> str | None:
    url = _url_once_alive(home)
    if url is None and "Address already in use" not in log_since(home.redis, size_before):
        raise StoreUnavailable(f"The embedded Redis did not start:\n{log_end(home.redis)}", _see_log(home))
    return url


def _url_once_alive(home: Home) -> str | None:
    """The URL of the server that lives, once it answers; None when none lives (any more)."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while is_alive(home):
        url = running(home)
        if url:
            return url
        if time.monotonic() > deadline:
            raise StoreUnavailable(
                f"The embedded Redis did not answer within {START_TIMEOUT_S:.0f} s:\n{log_end(home.redis)}",
                _see_log(home),
            )
        time.sleep(POLL_S)
    return None


def _stop(home: Home) -> None:
    url = _url_once_alive(home)
    if url is None:
        return
    try:
        with closing(BareClient(url, STOP_TIMEOUT_S)) as client, suppress(NoReply, ConnectionResetError):
            client.ask("SHUTDOWN", "SAVE")  # answered only where it cannot
    except (OSError, BareError) as error:
        raise StoreError(
            f"The embedded Redis at {url} could not save and goes on running: {error}\n{log_end(home.redis)}",
            f"Free disk space at {home.redis}, and try again.",
        ) from error
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while is_alive(home):
        if time.monotonic() > deadline:
            raise StoreError(f"The embedded Redis at {url} does not stop.\n{log_end(home.redis)}", _see_log(home))
        time.sleep(POLL_S)
    (home.redis / "url").unlink(missing_ok=True)
    (home.redis / "temporary").unlink(missing_ok=True)


@contextmanager
def _start_lock(home: Home) -> Iterator[None]:
    """One at a time starts or stops this home's server."""
    from contracts.file_lock import locked  # noqa: PLC0415 - where REDIS_URL is set, nobody comes here

    lock = home.redis / "starting"
    next_step = f"It starts or stops the embedded Redis: see {home.redis / LOG}; `fuser {lock}` names it."
    with locked(lock, START_TIMEOUT_S + STOP_TIMEOUT_S, next_step):
        yield


def _take_alive_lock(home: Home) -> int:
    """The lock that says a server lives, as a descriptor to hand to the server; raises Busy when one lives already."""
    alive = _open_lock(home.redis / "alive")
    try:
        fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(alive)
        raise Busy(
            f"A Redis server of {home.redis} is alive{_where(home)}.\n{log_end(home.redis)}",
            "Stop it with `slate down`, or wait until it has loaded its data.",
        ) from error
    return alive


def _where(home: Home) -> str:
    url = running(home)
    return f" at {url}" if url else ", but does not answer"


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)


def _is_locked(path: Path) -> bool:
    """Whether anybody holds a lock on the file."""
    descriptor = _open_lock(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _is_temporary(home: Home) -> bool:
    return (home.redis / "temporary").exists()


def _write_url(home: Home, port: int) -> str:
    url = f"redis://127.0.0.1:{port}/0"
    write_whole(home.redis / "url", f"{url}\n".encode())
    return url


def _see_log(home: Home) -> str:
    return f"The whole log is {home.redis / LOG}. Mend what it names, or set REDIS_URL to another server."
