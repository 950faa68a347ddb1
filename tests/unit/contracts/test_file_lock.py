from __future__ import annotations

import errno
import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.errors import Busy, WorkspaceError
from contracts.file_lock import locked
from contracts.stage_code import ROOMS

CHECKOUT = Path(__file__).resolve().parents[3]


def test_a_lock_that_somebody_keeps_is_busy_and_names_the_file_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "made" / ".lock"
    with locked(path), pytest.raises(Busy) as busy, locked(path, 0.0):
        pass
    assert (str(path) in busy.value.problem, str(path) in busy.value.next_step) == (True, True)
    with locked(path), pytest.raises(Busy) as busy, locked(path, 0.0, "See the others."):
        pass
    assert busy.value.next_step == "See the others."
    with locked(path, 0.0):
        pass  # free again


def test_who_is_killed_leaves_no_lock_behind(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    dying = """
import os, pathlib, sys
from contracts.file_lock import locked
with locked(pathlib.Path(sys.argv[1])):
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", dying, str(path)], cwd=CHECKOUT, check=False).returncode == 9
    assert path.exists()
    with locked(path, 0.0):
        pass


def test_where_the_file_system_has_no_locks_it_is_an_error_and_no_file_is_taken_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", missing)
    with pytest.raises(WorkspaceError, match="has no locks"), locked(tmp_path / ".lock", 0.0):
        pass


def test_all_rooms_lock_files_this_way() -> None:
    files = [file for room in (*ROOMS, "serving", "cli") for file in (CHECKOUT / room).rglob("*.py")]
    users = [file.relative_to(CHECKOUT).as_posix() for file in files if "import FileLock" in file.read_text()]
    assert users == ["contracts/file_lock.py"]
