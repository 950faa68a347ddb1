"""Runs in worktrees of their own: real git, real DVC, a graph of two small stages."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.errors import Busy, SettingsError, StepInterrupted, WorkspaceError
from contracts.home import find_home
from contracts.settings.params_file import read_params
from pipelines.runs import run_step, workspace
from pipelines.runs.repository import Repository
from pipelines.runs.run_commit import commit_release, push_data
from tests.unit.release.sample_manifest import MANIFEST_OF_NOTHING

TOP = Path(__file__).resolve().parents[3]
RUN_ID = "manual__2026-11-23T11:50:49.1+00:00"
GRAPH = """
stages:
  first:
    cmd: python -m pipelines.stub first
    params: [seed]
    outs: [data/first]
  second:
    matrix:
      cutoff: [test, all]
    cmd: python -m pipelines.stub second/${item.cutoff}
    deps: [data/first]
    outs:
      - data/second/${item.cutoff}
"""
# Writes which code and parameters it ran with.
STAGE = """
import sys
from pathlib import Path
target = Path("data", sys.argv[1])
target.parent.mkdir(parents=True, exist_ok=True)
target.write_text(Path("params.yaml").read_text())
print("stub runs in", Path(__file__).parents[1])
"""


def git(folder, *arguments):
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A repository with one commit, to be copied."""
    root = tmp_path_factory.mktemp("template") / "checkout"
    (root / "pipelines").mkdir(parents=True)
    (
        root / "pipelines" / "__init__.py"
    ).touch()  # as in a checkout; without it, a package of that name elsewhere comes first
    (root / "pipelines" / "stub.py").write_text(STAGE)
    (root / "dvc.yaml").write_text(GRAPH)
    (root / ".gitignore").write_text("/data/\n/build/\n__pycache__\n")
    shutil.copy(TOP / "params.yaml", root)
    git(root, "init", "--quiet", "--initial-branch", "main")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet"], cwd=root, check=True)
    git(root, "add", "--all")
    git(root, "-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "commit", "--quiet", "-m", "Start")
    return root


@pytest.fixture
def repository(template, tmp_path, home, monkeypatch):
    """A repository whose user never told git a name."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return Repository(Path(shutil.copytree(template, tmp_path / "checkout")))


def prepare(repository, home, run_id=RUN_ID, ref="HEAD", **overrides):
    named = {key.replace("__", "."): value for key, value in overrides.items()}
    return workspace.prepare(repository, home, run_id, ref, named)


def edit(repository, old, new):
    path = repository.root / "params.yaml"
    path.write_text(path.read_text().replace(old, new))


def test_a_run_id_becomes_a_slug_that_is_safe_as_folder_and_branch_and_different_for_different_ids():
    assert workspace.slug_of(RUN_ID).startswith("manual-2026-11-23t11-50-49-1-00-00-")
    nasty = ["../../x", "$(touch x)", "", "Ü", "ü", "a b", "a-b", "x" * 500, "-rf", "a.lock", "a\nb"]
    slugs = [workspace.slug_of(run_id) for run_id in nasty]
    assert len(set(slugs)) == len(nasty)
    assert all(set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for slug in slugs)
    assert all(not slug.startswith("-") and len(slug) < 80 for slug in slugs)


def test_overrides_stand_in_the_workspace_with_every_comment_kept_and_not_in_the_checkout(repository, home):
    made = prepare(repository, home, ranking__n_trees=7, seed=8)
    before, after = (repository.root / "params.yaml").read_text(), (made.folder / "params.yaml").read_text()
    n_trees = read_params(repository.root / "params.yaml")["ranking"]["n_trees"]
    assert after == before.replace(f"n_trees: {n_trees}", "n_trees: 7").replace("seed: 7", "seed: 8")
    assert read_params(made.folder / "params.yaml")["ranking"]["n_trees"] == 7


def test_uncommitted_edits_are_not_in_a_run_and_can_be_named(repository, home):
    edit(repository, "seed: 7", "seed: 99")
    made = prepare(repository, home)
    assert read_params(made.folder / "params.yaml")["seed"] == 7
    assert repository.uncommitted() == ["params.yaml"]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"ranking__n_tree": 7}, 'Trigger again with {"ranking.n_trees": 7}.'),
        ({"ranking__n_tree": 7, "seed": 8}, "`ranking.n_tree` is unknown. Did you mean `ranking.n_trees`?"),
        ({"ranking__n_trees": 0}, "`ranking.n_trees` is 0"),
        ({"seed__x": 1}, "`seed.x` names a group"),
        ({"rankng__n_trees": 1}, "`rankng.n_trees` names a group"),
        ({"rankng__n_trees": 1}, 'Trigger again with {"ranking.n_trees": 1}.'),
    ],
)
def test_a_wrong_override_is_refused_by_name_and_leaves_nothing_behind(repository, home, overrides, said):
    with pytest.raises(SettingsError) as raised:
        prepare(repository, home, **overrides)
    assert said in str(raised.value)
    assert str(home.worktrees) not in str(raised.value), "it names a worktree that is not there"
    assert not home.worktrees.exists(), "it was refused after something was made"
    assert len(git(repository.root, "worktree", "list").splitlines()) == 1


@pytest.mark.parametrize("ref", ["no-such-branch", "--upload-pack=touch x", "HEAD; touch x", ""])
def test_a_ref_that_names_no_commit_is_refused(repository, home, ref):
    with pytest.raises(WorkspaceError, match="names no commit"):
        prepare(repository, home, ref=ref)
    assert workspace.kept(home) == []


def test_preparing_again_for_the_same_request_goes_on_with_what_is_there(repository, home):
    made = prepare(repository, home, seed=8)
    (made.folder / "data").mkdir()
    assert prepare(repository, home, seed=8) == made
    assert (made.folder / "data").is_dir()


def test_preparing_again_for_another_request_starts_over(repository, home):
    made = prepare(repository, home, seed=8)
    (made.folder / "data").mkdir()
    prepare(repository, home, seed=9)
    assert not (made.folder / "data").exists()
    assert read_params(made.folder / "params.yaml")["seed"] == 9


def test_a_workspace_that_was_never_finished_is_not_used_and_is_made_anew(repository, home):
    made = prepare(repository, home)
    made.unseal()
    (made.folder / "params.yaml").unlink()
    with pytest.raises(WorkspaceError, match="no finished workspace"):
        workspace.find(home, RUN_ID)
    prepare(repository, home)
    assert (made.folder / "params.yaml").is_file()


def test_a_folder_that_git_does_not_know_does_not_stand_in_the_way(repository, home):
    folder = workspace.Workspace.of_run(home, RUN_ID).folder
    folder.mkdir(parents=True)
    (folder / "half").write_text("written")
    assert not (prepare(repository, home).folder / "half").exists()


def test_two_runs_have_workspaces_of_their_own_and_share_one_cache(repository, home, capfd):
    one, two = prepare(repository, home, "one"), prepare(repository, home, "two")
    run_step.reproduce(one, "first")
    run_step.reproduce(two, "first")
    assert one.folder != two.folder
    assert capfd.readouterr().out.count("stub runs in") == 1, "the second run should find the result in the cache"
    assert (two.folder / "data" / "first").read_text() == (one.folder / "data" / "first").read_text()
    assert any(home.dvc_cache.rglob("*"))


def test_a_stage_runs_the_code_of_its_workspace_and_all_its_cutoffs(repository, home, capfd):
    made = prepare(repository, home)
    for stage in ("first", "second"):
        run_step.reproduce(made, stage)
    said = capfd.readouterr().out
    assert f"stub runs in {made.folder}" in said
    assert "git add" not in said
    assert "dvc push" not in said
    assert sorted(path.name for path in (made.folder / "data" / "second").iterdir()) == ["all", "test"]


def test_a_failing_stage_says_where_to_look(repository, home):
    made = prepare(repository, home)
    (made.folder / "pipelines" / "stub.py").write_text("raise SystemExit('broken on purpose')")
    with pytest.raises(WorkspaceError, match=r"Step `first` ended with exit status \d+") as raised:
        run_step.reproduce(made, "first")
    assert str(made.folder) in raised.value.problem


def hold(made):
    """Make this test's process the holder of the workspace, as DVC notes it."""
    lock = made.folder / ".dvc" / "tmp" / "rwlock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    held = made.folder / "data" / "first"
    lock.write_text(f'{{"write": {{"{held}": {{"pid": {os.getpid()}, "cmd": "dvc repro by hand"}}}}, "read": {{}}}}')
    return lock


def test_a_step_waits_while_another_process_holds_the_workspace_and_says_who_it_is(repository, home, capfd):
    made = prepare(repository, home)
    lock = hold(made)
    run_step.reproduce(made, "first", pause=lock.unlink)
    said = capfd.readouterr().out
    assert f"(PID {os.getpid()}): dvc repro by hand" in said
    assert "`first` waits" in said
    assert (made.folder / "data" / "first").is_file()


def test_a_step_does_not_wait_for_ever(repository, home, monkeypatch):
    made = prepare(repository, home)
    hold(made)
    monkeypatch.setattr(run_step, "MAX_TRIES", 1)
    with pytest.raises(Busy, match="dvc repro by hand"):
        run_step.reproduce(made, "first", pause=lambda: None)


@pytest.fixture
def finished(repository, home):
    """A run whose stages are done, with a bundle that is no more than its manifest."""

    def run(run_id=RUN_ID, **overrides):
        made = prepare(repository, home, run_id, **overrides)
        run_step.reproduce(made, "first")
        bundle = made.folder / "build" / "release"
        bundle.mkdir(parents=True)
        MANIFEST_OF_NOTHING.save(bundle)
        return made

    return run


def commit(made):
    return commit_release(Repository(made.folder), "Run: one of these tests")


def test_a_run_is_committed_on_no_branch_by_slatework_and_tagged_with_its_release(finished, repository):
    made = finished(seed=8)
    recorded = commit(made)
    assert recorded.is_new
    assert git(made.folder, "rev-parse", "HEAD") == recorded.commit
    assert git(repository.root, "branch", "--list") == "* main"  # also while the run may go on, or has failed
    assert git(repository.root, "rev-parse", f"{recorded.tag}^{{commit}}") == recorded.commit
    assert git(repository.root, "show", "-s", "--format=%an %cn", recorded.commit) == "Slatework Slatework"
    changed = git(repository.root, "show", "--name-only", "--format=", recorded.commit).split()
    assert changed == ["dvc.lock", "params.yaml"]
    assert recorded.release_id in git(repository.root, "show", "-s", "--format=%B", recorded.commit)


def test_recording_twice_commits_once(finished):
    made = finished(seed=8)
    first, second = commit(made), commit(made)
    assert (first.is_new, second.is_new) == (True, False)
    assert (first.commit, first.tagged_commit) == (second.commit, second.tagged_commit)


def test_a_run_on_unchanged_inputs_commits_nothing_and_keeps_the_tag(finished, repository):
    first = commit(finished())
    git(repository.root, "merge", "--quiet", "--ff-only", first.commit)
    again = commit(finished("another run"))
    assert not again.is_new
    assert again.tagged_commit == first.commit


def test_a_persons_hooks_and_signing_do_not_stop_a_run(finished, repository):
    hook = repository.root / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    git(repository.root, "config", "commit.gpgSign", "true")
    assert commit(finished(seed=8)).is_new


def test_the_tag_and_the_remote_give_back_every_byte(finished, repository, home):
    made = finished(seed=8)
    content = (made.folder / "data" / "first").read_bytes()
    recorded = commit(made)
    push_data(made)
    workspace.remove(repository, made)
    shutil.rmtree(home.dvc_cache)
    git(repository.root, "checkout", "--quiet", recorded.tag)
    workspace.configure_dvc(repository.root, home)
    subprocess.run([sys.executable, "-m", "dvc", "pull", "--quiet", "first"], cwd=repository.root, check=True)
    assert (repository.root / "data" / "first").read_bytes() == content


@pytest.mark.parametrize(
    ("status", "error"),
    [(1, WorkspaceError), (75, StepInterrupted), (-9, StepInterrupted)],
    ids=["fails", "away", "killed"],
)
def test_a_stage_that_may_go_well_another_time_is_told_from_one_that_fails_alike(repository, home, status, error):
    ends = f"os.kill(os.getpid(), {-status})" if status < 0 else f"sys.exit({status})"
    (repository.root / "pipelines" / "stub.py").write_text(f"import os, sys\n{ends}\n")
    git(repository.root, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--all", "-m", "Ends")
    made = prepare(repository, home)
    with pytest.raises(WorkspaceError) as raised:
        run_step.reproduce(made, "first")
    assert type(raised.value) is error


def test_a_removed_workspace_leaves_no_branch_and_what_was_committed_stays(finished, repository, home):
    made = finished(seed=8)
    recorded = commit(made)
    git(repository.root, "branch", made.branch_of_before)  # as a worktree of before was on
    workspace.remove(repository, made)
    assert workspace.kept(home) == []
    assert not made.folder.exists()
    assert git(repository.root, "branch", "--list") == "* main"
    assert git(repository.root, "rev-parse", recorded.tag + "^{commit}") == recorded.commit


@pytest.mark.parametrize("changes", [{"seed": 8}, {}], ids=["committed", "nothing to commit"])
def test_a_task_that_is_cleared_after_its_run_finds_a_workspace_made_again(finished, repository, home, changes):
    made = finished(**changes)
    content = (made.folder / "data" / "first").read_bytes()
    commit(made)
    workspace.remove(repository, made, recorded=True)
    again = workspace.find_or_rebuild(repository, home, RUN_ID)
    assert again == made
    assert (again.folder / "data" / "first").read_bytes() == content
    assert read_params(again.folder / "params.yaml")["seed"] == changes.get("seed", 7)
    run_step.reproduce(again, "first")
    assert git(again.folder, "status", "--porcelain") == ""


def test_a_run_that_failed_and_was_removed_is_not_made_again_without_its_overrides(repository, home):
    workspace.remove(repository, prepare(repository, home, seed=8))
    assert git(repository.root, "branch", "--list") == "* main"
    with pytest.raises(WorkspaceError, match="has no finished workspace"):
        workspace.find_or_rebuild(repository, home, RUN_ID)


def test_a_remote_of_the_persons_own_is_used_in_runs_too(repository, home):
    own = repository.root / ".dvc" / "config.local"
    own.write_text("[core]\n    remote = mine\n['remote \"mine\"']\n    url = /somewhere/else\n")
    made = prepare(repository, home)
    shown = subprocess.run(
        [sys.executable, "-m", "dvc", "remote", "list"], cwd=made.folder, check=True, capture_output=True, text=True
    ).stdout
    assert [line.split()[0] for line in shown.splitlines() if "(default)" in line] == ["mine"]


def test_state_is_found_from_a_workspace_as_from_the_checkout(repository, home, monkeypatch):
    monkeypatch.delenv("SLATE_HOME")
    made = prepare(repository, home)
    assert find_home(made.folder) == find_home(repository.root)


def test_what_a_plain_dvc_repro_builds_lies_where_slate_looks_for_it(tmp_path, monkeypatch):
    monkeypatch.delenv("SLATE_HOME", raising=False)
    fresh = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(TOP), str(fresh))
    shutil.copy(TOP / ".dvc" / "config", fresh / ".dvc" / "config")
    shown = subprocess.run(
        [sys.executable, "-m", "dvc", "cache", "dir"], cwd=fresh, check=True, capture_output=True, text=True
    ).stdout
    assert Path(shown.strip()) == find_home(fresh).dvc_cache
