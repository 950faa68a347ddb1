"""`slate register` records a release that was built in the checkout: a commit, a tag, and both on the version."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import command_line
from cli.workspace import SERVED, prepare
from contracts.errors import PromotionRefused
from contracts.settings.identity_params import released_params
from contracts.settings.settings import load_settings
from pipelines.runs.repository import Repository
from release.bundle.code_version import code_fingerprint
from release.bundle.manifest import load_manifest
from release.journal.entries import Action
from tests.promotion_worlds import CHECKOUT, FOREIGN_WARNINGS, Studio

pytestmark = FOREIGN_WARNINGS
OURS = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *OURS, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(studio: Studio, base_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one file of code, as `dvc repro` leaves it: a bundle, and a dvc.lock that is not committed."""
    root = tmp_path / "checkout"
    (root / "contracts").mkdir(parents=True)
    (root / "contracts" / "__init__.py").write_text("")
    (root / "dvc.yaml").write_text("stages: {release: {deps: [contracts/__init__.py]}}\n")
    (root / ".gitignore").write_text("/build/\n")
    shutil.copy(CHECKOUT / "params.yaml", root)
    git(root, "init", "--quiet", "--initial-branch", "main")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "-m", "Start")
    shutil.copytree(base_bundle, root / "build" / "release")
    params = released_params(load_settings(root / "params.yaml"))
    replace(load_manifest(base_bundle), code=code_fingerprint(root), params=params).save(root / "build" / "release")
    (root / "dvc.lock").write_text("schema: '2.0'\n")
    monkeypatch.chdir(root)
    return root


def register(*options: str) -> str:
    result = CliRunner().invoke(command_line(), ["register", *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_release_of_committed_source_has_a_commit_and_a_tag_and_leaves_a_clean_checkout(
    checkout: Path, studio: Studio
) -> None:
    told = register()
    release_id = load_manifest(checkout / "build" / "release").release_id
    commit = git(checkout, "rev-parse", f"release/{release_id}^{{commit}}")
    assert commit == git(checkout, "rev-parse", "main")
    assert git(checkout, "show", "--name-only", "--format=", commit).split() == ["dvc.lock"]
    assert git(checkout, "status", "--porcelain") == ""
    assert f"tag release/{release_id} at {commit[:12]}" in told
    assert told.splitlines()[1] == (
        f"in MLflow's database sqlite:///{studio.home.mlflow_database}; `make up` starts the server that shows it"
    )
    version = studio.registry.by_release(release_id)
    assert version is not None
    assert version.tags["slate.release_commit"] == commit
    git(checkout, "checkout", "--quiet", f"release/{release_id}")


def test_the_last_line_is_the_next_command(checkout: Path, studio: Studio) -> None:
    assert register().splitlines()[-1] == "Next: `slate promote 6`"  # the studio has five versions
    assert studio.promoter.promote(6, requester="ada").accepted
    assert "Next:" not in register()


def test_uncommitted_source_is_not_sent_into_a_refusal(checkout: Path, studio: Studio) -> None:
    (checkout / "contracts/__init__.py").write_text("x = 1\n")
    assert register().splitlines()[-1].endswith("`slate promote 6 --allow-dirty`.")


def test_a_generator_of_ones_own_that_is_not_committed_is_told_with_what_to_type(
    checkout: Path, studio: Studio
) -> None:
    (checkout / "shop_generators").mkdir()
    (checkout / "shop_generators" / "trending.py").write_text("HEAD = 10\n")
    deps = "[contracts/__init__.py, shop_generators/trending.py]"
    (checkout / "dvc.yaml").write_text(f"stages: {{release: {{deps: {deps}}}}}\n")
    bundle = checkout / "build" / "release"
    replace(load_manifest(bundle), code=code_fingerprint(checkout)).save(bundle)
    told = json.loads(register("--json"))["recorded"]
    assert "(`git add dvc.yaml shop_generators/trending.py && git commit`)" in told
    assert git(checkout, "tag") == ""
    git(checkout, "add", "dvc.yaml", "shop_generators/trending.py")
    git(checkout, "commit", "--quiet", "-m", "Trending")
    again = json.loads(register("--json"))
    assert f"tag release/{again['release_id']}" in again["recorded"]
    git(checkout, "cat-file", "-e", f"release/{again['release_id']}:shop_generators/trending.py")
    version = studio.registry.by_release(again["release_id"])
    assert version is not None
    assert not version.dirty


def test_source_that_was_built_and_is_gone_is_to_be_built_again(checkout: Path, studio: Studio) -> None:
    bundle = checkout / "build" / "release"
    replace(load_manifest(bundle), code="0" * 16).save(bundle)
    assert "That is no longer there: `dvc repro`, " in json.loads(register("--json"))["recorded"]


def test_of_two_releases_of_the_same_code_each_is_listed_with_its_own_commit(checkout: Path, studio: Studio) -> None:
    first = json.loads(register("--json"))["release_id"]
    bundle = checkout / "build" / "release"
    manifest = load_manifest(bundle)
    replace(manifest, data={**manifest.data, "users": "0" * 16}).save(bundle)
    (checkout / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    second = json.loads(register("--json"))["release_id"]
    own = [git(checkout, "rev-parse", f"release/{one}^{{commit}}") for one in (first, second)]
    rows = CliRunner().invoke(command_line(), ["releases"], catch_exceptions=False).stdout.splitlines()
    listed = [next(row for row in rows if one in row) for one in (first, second)]
    assert [commit[:12] in row for commit, row in zip(own, listed, strict=True)] == [True, True]
    assert own[0][:12] not in listed[1]


def test_registering_again_records_nothing_twice(checkout: Path, studio: Studio) -> None:
    register()
    commit = git(checkout, "rev-parse", "HEAD")
    register()
    assert git(checkout, "rev-parse", "HEAD") == commit
    assert len(studio.entries(Action.RECORD)) == 1


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        (("contracts/__init__.py", "x = 1\n"), "it was built from uncommitted source"),
        (("params.yaml", None), "params.yaml was changed after it was built"),
        ((".git/MERGE_HEAD", None), "cannot do a partial commit during a merge"),
    ],
    ids=["dirty", "other parameters", "in a merge"],
)
def test_where_it_cannot_be_recorded_it_is_registered_and_that_is_said(
    checkout: Path, studio: Studio, spoilt: tuple[str, str | None], said: str
) -> None:
    name, text = spoilt
    if name == "params.yaml":
        text = (checkout / name).read_text().replace("seed: 7", "seed: 8", 1)
    if name == ".git/MERGE_HEAD":
        text = git(checkout, "rev-parse", "HEAD") + "\n"
    (checkout / name).write_text(str(text))
    told = json.loads(register("--json"))
    assert "not recorded in git: " in told["recorded"]
    assert said in told["recorded"]
    assert studio.registry.by_release(told["release_id"]) is not None
    assert git(checkout, "tag") == ""


def test_a_run_is_prepared_at_the_commit_of_a_recorded_release_and_without_one_says_what_to_do(
    checkout: Path, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[str] = []
    monkeypatch.setattr("pipelines.runs.workspace.prepare", lambda _repository, _home, _run, ref, _changes: ref)
    monkeypatch.setattr(Repository, "commit_of", lambda _repository, ref: prepared.append(ref) or "stopped here")
    assert studio.promoter.promote(1, requester="ada").accepted
    release_id = studio.registry.version(1).release_id
    with pytest.raises(PromotionRefused, match=f"has no tag release/{release_id}") as told:
        prepare("scheduled", ref=SERVED)
    assert "slate register" in told.value.next_step
    git(checkout, "tag", f"release/{release_id}")
    with pytest.raises(AttributeError):  # the stub prepares nothing
        prepare("scheduled", ref=SERVED)
    assert prepared == [f"release/{release_id}"]
