"""A checkout of its own for tests that run the product as a user does: this working tree in a new repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
GIT_IDENTITY = {f"GIT_{role}_{part}": "tester" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}


@dataclass(frozen=True)
class Checkout:
    """A checkout and its SLATE_HOME, and how to run something in it."""

    folder: Path
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith(("SLATE_", "AIRFLOW", "MLFLOW"))
        }
        inherited.pop("REDIS_URL", None)
        # `python`, `dvc` and `slate` are those of the environment that runs the tests, activated or not.
        path = os.pathsep.join([str(Path(sys.executable).parent), inherited["PATH"]])
        own = {"PATH": path, "SLATE_HOME": str(self.home), "PYTHONWARNINGS": "default"}
        return {**inherited, **GIT_IDENTITY, **own}

    def run(self, *command: str, **options) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False, **options
        )


def make_checkout(root: Path) -> Checkout:
    """This working tree, edits included, as the first commit of a new repository under `root`."""
    folder, home = root / "checkout", root / "home"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=TOP, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        if (TOP / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TOP / name, folder / name)
    fetched = TOP / ".slate" / "downloads"
    if fetched.is_dir():
        shutil.copytree(fetched, home / "downloads")
    checkout = Checkout(folder, home)
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "The working tree"]):
        checkout.run("git", *arguments).check_returncode()
    return checkout


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which the demo has run once; its output is in `demo.log` beside it."""
    checkout = make_checkout(tmp_path_factory.mktemp("built"))
    done = checkout.run("python", "-m", "cli.main", "demo")
    (checkout.folder.parent / "demo.log").write_text(done.stdout + done.stderr)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return checkout
