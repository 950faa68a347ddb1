from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from contracts.errors import WorkspaceError
from contracts.fingerprint import fingerprint_file, fingerprint_json
from contracts.stage_code import ROOMS
from release.bundle.code_version import built_from, code_fingerprint, git_version, uncommitted

MODULES = [f"{room}/inner/module.py" for room in ROOMS]


def write_checkout(root: Path, code: Sequence[str] = MODULES) -> Path:
    """A module in each room, and a graph whose stage `release` depends on `code`."""
    for room in ROOMS:
        (root / room / "inner").mkdir(parents=True)
        (root / room / "inner" / "module.py").write_text(f"NAME = {room!r}\n")
    write_graph(root, code)
    return root


def write_graph(root: Path, code: Sequence[str]) -> None:
    dependencies = "".join(f"      - {name}\n" for name in ["data/valid", *code])
    (root / "dvc.yaml").write_text(f"stages:\n  release:\n    deps:\n{dependencies}")


def commit_all(root: Path) -> None:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    subprocess.run(["git", "add", "."], cwd=root, check=True)
    subprocess.run(["git", *identity, "commit", "--quiet", "--message", "All of it"], cwd=root, check=True)


def test_two_checkouts_of_the_same_sources_have_one_fingerprint(tmp_path: Path) -> None:
    first, second = write_checkout(tmp_path / "a"), write_checkout(tmp_path / "b")
    assert code_fingerprint(first) == code_fingerprint(second)


def test_touching_a_file_or_compiling_it_changes_nothing(tmp_path: Path) -> None:
    root = write_checkout(tmp_path)
    before = code_fingerprint(root)
    os.utime(root / "release" / "inner" / "module.py", (1, 1))
    (root / "release" / "__pycache__").mkdir()
    (root / "release" / "__pycache__" / "module.cpython-311.pyc").write_bytes(b"compiled")
    assert code_fingerprint(root) == before


@pytest.mark.parametrize("module", MODULES)
def test_a_changed_line_in_any_file_that_is_named_changes_the_fingerprint(tmp_path: Path, module: str) -> None:
    root = write_checkout(tmp_path)
    before = code_fingerprint(root)
    (root / module).write_text("NAME = 'other'\n")
    assert code_fingerprint(root) != before


def test_a_file_that_is_not_named_is_no_part_of_what_a_release_answers(tmp_path: Path) -> None:
    root = write_checkout(tmp_path)
    commit_all(root)
    before = code_fingerprint(root)
    for name in ("serving/app.py", "release/page.py", "release/inner/page.py"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("COLOUR = 'red'\n")
    assert code_fingerprint(root) == before
    assert not git_version(root)[1]


def test_a_checkout_that_names_whole_rooms_is_fingerprinted_as_it_was_when_it_was_current(tmp_path: Path) -> None:
    root = write_checkout(tmp_path, code=ROOMS)
    (root / "release" / "page.py").write_text("COLOUR = 'red'\n")
    (root / "release" / "page.css").write_text("p { color: red }\n")
    files = [*MODULES, "release/page.py"]
    assert code_fingerprint(root) == fingerprint_json({file: fingerprint_file(root / file) for file in files})


def test_a_folder_that_is_no_checkout_has_no_fingerprint(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match=r"dvc\.yaml is missing"):
        code_fingerprint(tmp_path)


@pytest.mark.parametrize("graph", ["stages: {}\n", "stages: [\n", "- stages\n", ""])
def test_a_graph_without_the_stage_is_an_error_that_names_it(tmp_path: Path, graph: str) -> None:
    (tmp_path / "dvc.yaml").write_text(graph)
    with pytest.raises(WorkspaceError, match=r"dvc\.yaml does not say what stage `release` depends on"):
        code_fingerprint(tmp_path)


def test_a_graph_that_names_no_code_has_no_fingerprint(tmp_path: Path) -> None:
    write_graph(tmp_path, code=[])
    with pytest.raises(WorkspaceError, match="names no code under `release`"):
        code_fingerprint(tmp_path)


@pytest.mark.parametrize("code", [MODULES, ROOMS])
def test_code_that_is_named_and_not_there_is_an_error_that_names_it(tmp_path: Path, code: Sequence[str]) -> None:
    root = write_checkout(tmp_path, code)
    (root / "sources" / "inner" / "module.py").unlink()
    with pytest.raises(WorkspaceError, match=r"sources\S* is missing, though"):
        code_fingerprint(root)


def test_a_fresh_commit_is_clean_and_params_do_not_make_it_dirty(tmp_path: Path) -> None:
    root = write_checkout(tmp_path)
    commit_all(root)
    (root / "params.yaml").write_text("seed: 8\n")
    commit, dirty = git_version(root)
    assert len(commit) == 40
    assert not dirty


def test_a_changed_or_vanished_file_is_dirty(tmp_path: Path) -> None:
    root = write_checkout(tmp_path)
    commit_all(root)
    module = root / "release" / "inner" / "module.py"
    module.write_text("NAME = 'edited'\n")
    assert git_version(root)[1]
    module.unlink()
    assert git_version(root)[1]


def test_another_list_of_files_than_the_commit_has_is_dirty_and_another_graph_is_not(tmp_path: Path) -> None:
    root = write_checkout(tmp_path)
    commit_all(root)
    (root / "dvc.yaml").write_text((root / "dvc.yaml").read_text() + "plots:\n  - curve.png\n")
    assert not git_version(root)[1]
    write_graph(root, code=MODULES[1:])
    assert git_version(root)[1]


def test_a_new_file_that_is_named_already_is_dirty(tmp_path: Path) -> None:
    root = write_checkout(tmp_path, code=[*MODULES, "release/new.py"])
    commit_all(root)
    (root / "release" / "new.py").write_text("NAME = 'new'\n")
    assert git_version(root)[1]


OWN = "shop_generators/trending.py"
BY_RELEASE = f"stages:\n  release:\n    deps:\n      - release/inner/module.py\n      - {OWN}\n"
BY_ANOTHER = f"stages:\n  release:\n    deps: [release/inner/module.py]\n  ingest:\n    deps: [data/raw, {OWN}]\n"


@pytest.mark.parametrize("ignored", ["", "shop_generators/\n"], ids=["untracked", "ignored"])
@pytest.mark.parametrize("graph", [BY_RELEASE, BY_ANOTHER], ids=["release", "another stage"])
def test_code_of_the_projects_own_is_dirty_until_it_is_committed(tmp_path: Path, graph: str, ignored: str) -> None:
    root = write_checkout(tmp_path)
    (root / ".gitignore").write_text(ignored)
    commit_all(root)
    (root / OWN).parent.mkdir()
    (root / OWN).write_text("HEAD = 10\n")
    (root / "dvc.yaml").write_text(graph)
    assert uncommitted(root) == ["dvc.yaml", OWN]
    commit_all(root)
    assert uncommitted(root) == ([OWN] if ignored else [])
    assert git_version(root)[1] == bool(ignored)
    if ignored:
        subprocess.run(["git", "add", "--force", OWN], cwd=root, check=True)
        commit_all(root)
    assert not git_version(root)[1]
    (root / OWN).write_text("HEAD = 20\n")
    assert uncommitted(root) == [OWN]
    (root / OWN).unlink()
    assert uncommitted(root) == [OWN]


def test_the_fingerprint_follows_code_of_the_projects_own_and_no_data(tmp_path: Path) -> None:
    root = write_checkout(tmp_path, code=[*MODULES, OWN, "shop_generators/table.csv"])
    (root / OWN).parent.mkdir()
    (root / OWN).write_text("HEAD = 10\n")
    before = code_fingerprint(root)
    (root / "shop_generators" / "table.csv").write_text("a,b\n")
    assert code_fingerprint(root) == before
    (root / OWN).write_text("HEAD = 20\n")
    assert code_fingerprint(root) != before
    (root / OWN).unlink()
    with pytest.raises(WorkspaceError, match=r"trending\.py is missing, though"):
        code_fingerprint(root)


@pytest.mark.parametrize(
    ("line", "dirty"), [("cmd: python -m other", True), ("outs: [b]", True), ("desc: for people", False)]
)
def test_a_graph_that_runs_otherwise_is_dirty(tmp_path: Path, line: str, dirty: bool) -> None:
    root = write_checkout(tmp_path)
    graph = (root / "dvc.yaml").read_text()
    (root / "dvc.yaml").write_text(f"{graph}    cmd: python -m one\n    outs: [a]\n    desc: none yet\n")
    commit_all(root)
    (key, _), kept = line.split(":"), (root / "dvc.yaml").read_text().splitlines()
    (root / "dvc.yaml").write_text("\n".join(f"    {line}" if f" {key}:" in one else one for one in kept))
    assert uncommitted(root) == (["dvc.yaml"] if dirty else [])


def test_outside_git_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="git could not tell the version"):
        git_version(tmp_path)


def test_code_is_of_the_commit_only_when_it_is_the_code_that_is_committed(tmp_path: Path) -> None:
    root = write_checkout(tmp_path)
    commit_all(root)
    commit, _ = git_version(root)
    code = code_fingerprint(root)
    assert built_from(root, code) == (commit, False)
    assert built_from(root, "built and then edited away") == (commit, True)
    (root / "release" / "inner" / "module.py").write_text("NAME = 'not committed'\n")
    assert built_from(root, code_fingerprint(root)) == (commit, True)


@pytest.mark.parametrize("missing", ["a file", "a folder"])
def test_a_commit_that_lacks_what_it_names_itself_is_not_the_code_that_built(tmp_path: Path, missing: str) -> None:
    name = "release/gone.py" if missing == "a file" else "release/gone"
    root = write_checkout(tmp_path, code=[*MODULES, name])
    commit_all(root)
    commit, dirty = git_version(root)
    assert not dirty
    assert built_from(root, "built elsewhere") == (commit, True)
