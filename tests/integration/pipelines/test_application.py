"""Applications in workspaces of their own: real git, real DVC settings, the command line in processes of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.errors import SettingsError, WorkspaceError
from contracts.home import Home
from contracts.settings.settings import load_settings
from pipelines.runs.application import find_application, is_own, prepare_application
from pipelines.runs.repository import Repository

TOP = Path(__file__).resolve().parents[3]
# The command line says where it stands, instead of doing anything.
STUB = """
import os, sys
print(os.getcwd(), os.environ["SLATE_APP"], os.environ["SLATE_HOME"], *sys.argv[1:])
"""
OURS = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *OURS, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, home: Home) -> Repository:
    """A checkout with this one's parameters and presets."""
    root = tmp_path / "checkout"
    (root / "cli").mkdir(parents=True)
    (root / "cli/__init__.py").touch()
    (root / "cli/main.py").write_text(STUB)
    (root / ".gitignore").write_text("/data/\n")
    shutil.copy(TOP / "params.yaml", root)
    shutil.copytree(TOP / "presets", root / "presets")
    git(root, "init", "--quiet", "--initial-branch", "main")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet"], cwd=root, check=True)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "-m", "Start")
    return Repository(root)


def test_an_application_gets_a_worktree_with_its_parameters(repository, home):
    folder = prepare_application(repository, home, "shop")
    settings = load_settings(folder / "params.yaml")
    assert (settings.app, settings.ingest.source) == ("shop", "simulator")
    assert load_settings(repository.root / "params.yaml").app == "movies"
    assert git(repository.root, "status", "--porcelain") == ""
    assert find_application(repository, home, "shop") == folder == home.root / "applications" / "shop"


def test_an_own_export_is_named_by_an_absolute_path(repository, home):
    preset = repository.root / "presets/giftshop.yaml"
    mapping = "{interactions: {event_type: view, columns: {user_id: u, item_id: i, event_ts: t}}}"
    preset.write_text(f"app: giftshop\ningest:\n  source: files\n  path: inbox\n  files: {mapping}\n")
    with pytest.raises(SettingsError, match="found 'inbox'; expected an absolute path") as refusal:
        prepare_application(repository, home, "giftshop")
    named = refusal.value.next_step.split()[-1].rstrip(".")
    assert named == str(repository.root / "inbox")
    preset.write_text(preset.read_text().replace("path: inbox", f"path: {named}"))
    settings = load_settings(prepare_application(repository, home, "giftshop") / "params.yaml")
    assert (settings.app, settings.ingest.path) == ("giftshop", named)


def test_prepared_again_it_stands_on_the_new_commit_with_what_it_had_built(repository, home):
    folder = prepare_application(repository, home, "shop")
    (folder / "data").mkdir()
    (folder / "data/built").write_text("dear")
    (folder / "dvc.lock").write_text("ran")
    assert Repository(folder).commit_files(["dvc.lock"], "as `slate register` does")
    (repository.root / "new.py").write_text("")
    git(repository.root, "add", "--all")
    git(repository.root, "commit", "--quiet", "-m", "New")
    preset = repository.root / "presets/shop.yaml"
    preset.write_text(preset.read_text().replace("n_days: 60", "n_days: 61"))  # not committed, and meant
    assert prepare_application(repository, home, "shop") == folder
    assert (folder / "new.py").exists()
    assert (folder / "data/built").read_text() == "dear"
    assert (folder / "dvc.lock").read_text() == "ran"
    world = load_settings(folder / "params.yaml").ingest.simulator
    assert world is not None
    assert world.n_days == 61


def test_one_that_was_never_prepared_says_how_it_is_made(repository, home):
    with pytest.raises(WorkspaceError, match="slate demo --app shop"):
        find_application(repository, home, "shop")
    with pytest.raises(SettingsError, match="no application 'cars'"):
        find_application(repository, home, "cars")


def test_the_checkouts_own_application_needs_none(repository):
    assert is_own(repository, "movies")
    assert not is_own(repository, "shop")


def slate(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from cli.main import main; main()", *arguments]
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(TOP), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_command_goes_on_in_the_applications_workspace_with_the_code_there(repository, home, tmp_path):
    folder = prepare_application(repository, home, "shop")
    outside = tmp_path / "outside"  # nothing named cli lies here, so that the project's own is imported
    git(repository.root, "worktree", "add", "--quiet", "--detach", "--no-checkout", str(outside))
    by_option = slate(outside, "--app", "shop", "releases", "--json")
    assert by_option.returncode == 0, by_option.stderr
    assert by_option.stdout.split() == [str(folder), "shop", str(home.root), "--app", "shop", "releases", "--json"]
    by_environment = slate(outside, "releases", SLATE_APP="shop")
    assert by_environment.stdout.split() == [str(folder), "shop", str(home.root), "releases"]


def test_a_run_for_an_application_has_its_parameters_under_those_of_the_form(repository, home, tmp_path):
    outside = tmp_path / "outside"
    git(repository.root, "worktree", "add", "--quiet", "--detach", "--no-checkout", str(outside))
    form = ("workspace", "prepare", "--run-id", "1", "--overrides", '{"validate.max_value": 77}')
    done = slate(outside, *form, SLATE_APP="shop")
    assert done.returncode == 0, done.stderr
    settings = load_settings(Path(done.stdout.splitlines()[-1]) / "params.yaml")
    assert (settings.app, settings.validate_.max_value, settings.features.n_snapshots) == ("shop", 77, 6)


@pytest.mark.parametrize("key", ["promotion.min_ndcg", "promotion"])
def test_whoever_starts_a_run_cannot_change_what_a_release_must_show(repository, home, tmp_path, key):
    outside = tmp_path / "outside"
    git(repository.root, "worktree", "add", "--quiet", "--detach", "--no-checkout", str(outside))
    form = ("workspace", "prepare", "--run-id", "1", "--overrides")
    refused = slate(outside, *form, json.dumps({key: 0}))
    assert refused.returncode == 1
    assert f"`{key}` cannot be overridden for one run" in refused.stderr
    taken = slate(outside, *form, json.dumps({"promotion.after_training": "none"}))
    assert taken.returncode == 0, taken.stderr


def test_a_simulation_means_another_thing_by_an_application(repository, home, tmp_path):
    outside = tmp_path / "outside"
    git(repository.root, "worktree", "add", "--quiet", "--detach", "--no-checkout", str(outside))
    size = ("--users", "200", "--items", "100", "--days", "2", "--out", "world")
    done = slate(outside, "simulate", "--app", "articles", *size, SLATE_APP="shop")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("world: 100 items, 200 users, ")
    assert sorted(path.name for path in (outside / "world").iterdir()) == [
        *("impressions", "interactions", "items", "truth", "users"),
    ]
    again = slate(outside, "simulate", "--app", "articles", *size)
    assert again.returncode == 1
    assert "WorkspaceError: world is there already, and not empty." in again.stderr
