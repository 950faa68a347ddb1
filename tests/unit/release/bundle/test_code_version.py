from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from contracts.errors import WorkspaceError
from release.bundle.code_version import ROOMS, built_from, code_fingerprint, git_version


def write_rooms(root: Path) -> Path:
    for room in ROOMS:
        (root / room / "inner").mkdir(parents=True)
        (root / room / "inner" / "module.py").write_text(f"NAME = {room!r}\n")
    return root


def commit_all(root: Path) -> None:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    subprocess.run(["git", "add", "."], cwd=root, check=True)
    subprocess.run(["git", *identity, "commit", "--quiet", "--message", "All of it"], cwd=root, check=True)


def test_two_checkouts_of_the_same_sources_have_one_fingerprint(tmp_path: Path) -> None:
    first, second = write_rooms(tmp_path / "a"), write_rooms(tmp_path / "b")
    assert code_fingerprint(first) == code_fingerprint(second)


def test_touching_a_file_or_compiling_it_changes_nothing(tmp_path: Path) -> None:
    root = write_rooms(tmp_path)
    before = code_fingerprint(root)
    os.utime(root / "release" / "inner" / "module.py", (1, 1))
    (root / "release" / "__pycache__").mkdir()
    (root / "release" / "__pycache__" / "module.cpython-311.pyc").write_bytes(b"compiled")
    assert code_fingerprint(root) == before


@pytest.mark.parametrize("room", ROOMS)
def test_a_changed_line_in_any_room_changes_the_fingerprint(tmp_path: Path, room: str) -> None:
    root = write_rooms(tmp_path)
    before = code_fingerprint(root)
    (root / room / "inner" / "module.py").write_text("NAME = 'other'\n")
    assert code_fingerprint(root) != before


def test_serving_and_cli_are_no_part_of_what_a_release_answers(tmp_path: Path) -> None:
    root = write_rooms(tmp_path)
    before = code_fingerprint(root)
    (root / "serving").mkdir()
    (root / "serving" / "app.py").write_text("PORT = 1\n")
    assert code_fingerprint(root) == before


def test_a_folder_that_is_no_checkout_has_no_fingerprint(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="holds no Python sources"):
        code_fingerprint(tmp_path)


def test_a_fresh_commit_is_clean_and_params_do_not_make_it_dirty(tmp_path: Path) -> None:
    root = write_rooms(tmp_path)
    commit_all(root)
    (root / "params.yaml").write_text("seed: 8\n")
    commit, dirty = git_version(root)
    assert len(commit) == 40
    assert not dirty


@pytest.mark.parametrize("name", ["module.py", "new_module.py"])
def test_a_changed_or_new_source_file_is_dirty(tmp_path: Path, name: str) -> None:
    root = write_rooms(tmp_path)
    commit_all(root)
    (root / "release" / "inner" / name).write_text("NAME = 'edited'\n")
    assert git_version(root)[1]


def test_outside_git_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="git could not tell the version"):
        git_version(tmp_path)


def test_code_is_of_the_commit_only_when_it_is_the_code_that_is_committed(tmp_path: Path) -> None:
    root = write_rooms(tmp_path)
    commit_all(root)
    commit, _ = git_version(root)
    code = code_fingerprint(root)
    assert built_from(root, code) == (commit, False)
    assert built_from(root, "built and then edited away") == (commit, True)
    (root / "release" / "inner" / "module.py").write_text("NAME = 'not committed'\n")
    assert built_from(root, code_fingerprint(root)) == (commit, True)
