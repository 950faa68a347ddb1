"""DVC notices that the data behind `ingest.path` changed, in the checkout and in a worktree: real DVC, real git."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from contracts.home import Home
from contracts.stage_code import is_code
from pipelines.runs.local_source import link_source

TOP = Path(__file__).resolve().parents[3]
COUNTING = """
import shutil
from pathlib import Path
shutil.rmtree("data/raw", ignore_errors=True)
Path("data/raw").mkdir(parents=True)
names = sorted(str(path) for path in Path("inbox").rglob("*") if path.is_file())
Path("data/raw/names").write_text("\\n".join(names))
"""


@pytest.fixture
def checkout(tmp_path: Path, home: Home) -> Path:
    """A checkout whose stage `ingest` is the project's own, with a stub for what it runs."""
    folder = tmp_path / "checkout"
    shutil.copytree(TOP / "inbox", folder / "inbox", ignore=lambda _, names: [n for n in names if n != "README.md"])
    (folder / "traffic").mkdir()
    (folder / "pipelines").mkdir()
    (folder / "pipelines" / "__init__.py").touch()
    (folder / "pipelines" / "ingest.py").write_text(COUNTING)
    yaml = YAML(typ="safe", pure=True)
    ingest = yaml.load((TOP / "dvc.yaml").read_text())["stages"]["ingest"]
    ingest["deps"] = [name for name in ingest["deps"] if not is_code(name)]
    with (folder / "dvc.yaml").open("w") as file:
        yaml.dump({"stages": {"ingest": ingest}}, file)
    shutil.copy(TOP / "params.yaml", folder)
    (folder / ".gitignore").write_text((TOP / ".gitignore").read_text())
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    dvc(folder, "init", "--quiet")
    dvc(folder, "repro", "--quiet")
    return folder


def dvc(folder: Path, *arguments: str) -> str:
    result = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return result.stdout


def names(folder: Path) -> list[str]:
    return (folder / "data" / "raw" / "names").read_text().splitlines()


def test_new_changed_and_removed_data_are_noticed_and_unchanged_are_not_read_again(checkout: Path) -> None:
    assert "up to date" in dvc(checkout, "status")
    day = checkout / "inbox" / "day=1" / "e.csv"
    day.parent.mkdir()
    day.write_text("one")
    assert "inbox" in dvc(checkout, "status")
    dvc(checkout, "repro", "--quiet")
    assert names(checkout) == ["inbox/README.md", "inbox/day=1/e.csv"]
    assert "up to date" in dvc(checkout, "status")
    day.write_text("two")
    assert "inbox" in dvc(checkout, "status")
    day.unlink()
    dvc(checkout, "repro", "--quiet")
    assert names(checkout) == ["inbox/README.md"]


def test_git_takes_none_of_it(checkout: Path) -> None:
    (checkout / "inbox" / "secret.csv").write_text("one")
    command = ["git", "status", "--porcelain", "--untracked-files=all", "inbox"]
    status = subprocess.run(command, cwd=checkout, check=True, capture_output=True, text=True)
    assert status.stdout.split() == ["??", "inbox/README.md"]


def test_a_worktree_sees_the_data_and_their_changes(checkout: Path, tmp_path: Path) -> None:
    day = checkout / "inbox" / "day=1" / "e.csv"
    day.parent.mkdir()
    day.write_text("one")
    worktree = tmp_path / "worktree"
    shutil.copytree(checkout, worktree, ignore=lambda folder, _: ["day=1"] if folder.endswith("inbox") else [])
    assert "up to date" in dvc(worktree, "status")
    link_source(checkout, worktree)
    link_source(checkout, worktree)
    assert "inbox" in dvc(worktree, "status")
    dvc(worktree, "repro", "--quiet")
    assert names(worktree) == ["inbox/README.md", "inbox/day=1/e.csv"]
    day.write_text("two")
    assert "inbox" in dvc(worktree, "status")


@pytest.mark.parametrize("path", ["exports", "exports/e.csv"])
def test_a_path_of_its_own_is_linked_too_and_one_that_is_nowhere_is_left_to_the_stage(
    checkout: Path, tmp_path: Path, path: str
) -> None:
    worktree = tmp_path / "worktree"
    worktree.mkdir()
    text = (checkout / "params.yaml").read_text().replace("path: inbox", f"path: {path}")
    (worktree / "params.yaml").write_text(text)
    link_source(checkout, worktree)
    assert not (worktree / "exports").exists()
    (checkout / "exports").mkdir()
    (checkout / "exports" / "e.csv").write_text("one")
    link_source(checkout, worktree)
    assert (worktree / "exports" / "e.csv").read_text() == "one"
