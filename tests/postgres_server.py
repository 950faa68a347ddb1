"""A real Postgres server for a test session: from a Python wheel, else from PATH."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from feature_store.server.server_program import free_port

NOT_HERE = "no Postgres: neither the wheel `pgserver` nor `initdb` on PATH; the journal on Postgres is NOT tested"
UNPRIVILEGED = "nobody"  # Postgres refuses to run as root


def programs() -> Path | None:
    """The folder that holds initdb, pg_ctl and postgres."""
    wheel = find_spec("pgserver")
    if wheel and wheel.origin:
        return Path(wheel.origin).parent / "pginstall" / "bin"
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


@contextmanager
def running(folder_of_programs: Path) -> Iterator[str]:
    """The URL of a server on loopback, without a database name, that is stopped and forgotten afterwards."""
    with tempfile.TemporaryDirectory(prefix="slate-postgres-") as scratch:
        home, owner = Path(scratch), _owner()
        binaries = _reachable(folder_of_programs, home) if owner else folder_of_programs
        if owner:
            shutil.chown(home, UNPRIVILEGED)
        data, port = home / "data", free_port()
        _run([binaries / "initdb", "-D", data, "-U", "slate", "-A", "trust", "-E", "UTF8", "--no-sync"], owner)
        options = f"-h 127.0.0.1 -p {port} -k '' -c fsync=off"
        _run([binaries / "pg_ctl", "-D", data, "-l", home / "log", "-o", options, "-w", "start"], owner)
        try:
            yield f"postgresql://slate@127.0.0.1:{port}"
        finally:
            _run([binaries / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"], owner)


def _owner() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam(UNPRIVILEGED)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _reachable(folder_of_programs: Path, home: Path) -> Path:
    """A copy that the unprivileged user can get at: the checkout may lie under a folder that is root's alone."""
    if folder_of_programs.parent.name != "pginstall":
        return folder_of_programs  # a system's own are everybody's
    package = folder_of_programs.parents[1]
    shutil.copytree(folder_of_programs.parent, home / package.name / "pginstall", symlinks=True)
    shutil.copytree(package.with_name(f"{package.name}.libs"), home / f"{package.name}.libs")
    return home / package.name / "pginstall" / "bin"


def _run(command: list[Any], owner: dict[str, Any]) -> None:
    words = [str(word) for word in command]
    done = subprocess.run(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False, cwd="/", **owner
    )
    assert done.returncode == 0, f"{words[0]}: {done.stderr}"
