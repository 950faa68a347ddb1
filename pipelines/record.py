"""The last step of a run: its commit, its tag, its data in the remote, and both written where a version is read.

Every part may be repeated: a run that was interrupted here is recorded by running this again.
"""

from __future__ import annotations

from dataclasses import dataclass

from contracts.errors import WorkspaceError
from contracts.home import Home
from contracts.settings import load_settings
from pipelines.paths import BUNDLE
from pipelines.repository import Repository
from pipelines.run_step import run_in
from pipelines.workspace import Workspace, find, remove
from release.manifest import load_manifest
from release.promotion import Promoter
from release.registry import Version

RECORDED = ("params.yaml", "dvc.lock")


@dataclass(frozen=True)
class Recorded:
    """Where a run's release stands in git.

    commit: the end of the run's branch; tagged_commit: the one that gives the release back, earlier where another run
    made the same release; is_new: whether anything had to be committed.
    """

    release_id: str
    commit: str
    branch: str
    tagged_commit: str
    is_new: bool

    @property
    def tag(self) -> str:
        return tag_of(self.release_id)


def tag_of(release_id: str) -> str:
    """The git tag under which everything of a release can be had back."""
    return f"release/{release_id}"


def commit_release(workspace: Workspace) -> Recorded:
    """Commit params.yaml and dvc.lock on the run's branch and tag the commit with the release it made.

    Nothing is committed when nothing differs, and a tag that exists stays where it is: it names the same release.
    """
    release_id = load_manifest(workspace.folder / BUNDLE).release_id
    checkout = Repository(workspace.folder)
    request = workspace.request
    message = f"Release {release_id}\n\nRun: {request.run_id if request else workspace.slug}"
    is_new = checkout.commit_files(RECORDED, message)
    commit = checkout.commit_of("HEAD")
    tagged = checkout.tag(tag_of(release_id), commit, f"Release {release_id}")
    return Recorded(release_id, commit, workspace.branch, tagged, is_new)


def push_data(workspace: Workspace) -> None:
    """Copy what the run's dvc.lock names from the cache to the DVC remote; raises WorkspaceError when that fails."""
    code, tail = run_in(workspace, ["-m", "dvc", "push"])
    if code != 0:
        raise WorkspaceError(
            f"`dvc push` from {workspace.folder} ended with exit status {code}:\n{tail}",
            "Make the remote reachable (`dvc remote list`), and run the step again.",
        )


def record_run(repository: Repository, home: Home, run_id: str) -> list[str]:
    """Record the run and remove its workspace, which stays when something fails; returns what was done, in sentences.

    Raises WorkspaceError when the run has no workspace, made no registered release, or its data cannot be pushed, and
    what a promotion raises when a store is away.
    """
    workspace = find(home, run_id)
    settings = load_settings(workspace.folder / "params.yaml")
    promoter = Promoter.open(settings, home)
    recorded = commit_release(workspace)
    version = _version(promoter, recorded.release_id)
    push_data(workspace)
    promoter.record_commit(recorded.release_id, recorded.tagged_commit)
    decision = promoter.after_training(version.number)
    remove(repository, workspace)
    return [
        _say_committed(recorded),
        f"tag {recorded.tag} at {recorded.tagged_commit[:12]}, on version {version.number} of {settings.app}",
        f"promotion: {decision.verdict}. {decision.reason}" if decision else "promotion: none asked for",
    ]


def _version(promoter: Promoter, release_id: str) -> Version:
    version = promoter.registry.by_release(release_id)
    if version is None:
        raise WorkspaceError(
            f"Release {release_id} is not registered, so there is no version to write its commit on.",
            "Run the step `register` of this run, and then this one again.",
        )
    return version


def _say_committed(recorded: Recorded) -> str:
    if recorded.is_new:
        return f"commit {recorded.commit[:12]} on {recorded.branch}: release {recorded.release_id}"
    return f"same release {recorded.release_id}: nothing to commit, {recorded.branch} stands at {recorded.commit[:12]}"
