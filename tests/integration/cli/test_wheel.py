"""The wheel built from pyproject.toml: everything of ours is in it, and it runs away from the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[3]
ROOMS = ("contracts", "sources", "feature_store", "recommender", "release", "pipelines", "serving", "cli")
OUTSIDE = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV", "SLATE_APP"}}


def uv(*words: object) -> None:
    command = [Path(sys.executable).with_name("uv"), *words, "--offline"]
    done = subprocess.run(command, env=OUTSIDE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def tracked_files(*folders: str) -> list[str]:
    names = subprocess.run(["git", "ls-files", *folders], cwd=TOP, capture_output=True, text=True, check=True).stdout
    return [name for name in names.splitlines() if (TOP / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from what git tracks, as it lies in the checkout; what else lies there cannot come in."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in (*tracked_files(*ROOMS), "pyproject.toml", "README.md", "LICENSE"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(TOP / name, source / name)
    uv("build", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", out, source)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a fresh environment with the wheel in it, which sees what this one has installed but for our own."""
    environment = tmp_path_factory.mktemp("fresh") / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    uv("pip", "install", "--python", environment / "bin" / "python", "--no-deps", wheel)
    # Of a folder named in a .pth file no .pth is read, so that the editable install of the checkout is not seen.
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return environment / "bin"


def run_away(folder: Path, *command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(command), cwd=folder, env=OUTSIDE, capture_output=True, text=True, check=False)


def test_every_file_of_ours_that_git_tracks_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
    assert set(tracked_files(*ROOMS)) - names == set()


def test_nothing_but_our_packages_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        tops = {name.partition("/")[0] for name in packed.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(ROOMS)


def test_slate_runs_from_the_wheel_away_from_the_checkout(installed: Path, tmp_path: Path) -> None:
    origin = run_away(tmp_path, installed / "python", "-c", "import cli.main; print(cli.main.__file__)")
    assert Path(origin.stdout.strip()).is_relative_to(installed.parent)
    shown = run_away(tmp_path, installed / "slate", "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "rollback" in shown.stdout


def test_the_journal_finds_its_migrations_away_from_the_checkout(installed: Path, tmp_path: Path) -> None:
    shutil.copyfile(TOP / "params.yaml", tmp_path / "params.yaml")
    environment = {**OUTSIDE, "SLATE_HOME": str(tmp_path / "home")}
    words = [installed / "slate", "journal"]
    shown = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (shown.returncode, shown.stdout) == (0, "the journal is empty\n"), shown.stderr
    assert (tmp_path / "home" / "journal.db").is_file()
