"""What a run leaves in git and in the DVC remote: one commit of its parameters and results, under its release's tag."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.errors import WorkspaceError
from contracts.settings.params_path import PARAMS
from pipelines.paths import BUNDLE
from pipelines.runs.repository import Repository
from pipelines.runs.run_step import run_in
from pipelines.runs.workspace import Workspace
from release.bundle.manifest import load_manifest

RECORDED = (str(PARAMS), "dvc.lock")


@dataclass(frozen=True)
class RecordedCommit:
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


def commit_release(checkout: Repository, made_by: str) -> RecordedCommit:
    """Commit params.yaml and dvc.lock on what is checked out, and tag the commit with the release it made.

    made_by: what made it, for the message. Nothing is committed when nothing differs, and a tag that exists stays where
    it is: it names the same release.
    """
    release_id = load_manifest(checkout.root / BUNDLE).release_id
    is_new = checkout.commit_files(RECORDED, f"Release {release_id}\n\n{made_by}")
    commit = checkout.commit_of("HEAD")
    tagged = checkout.tag(tag_of(release_id), commit, f"Release {release_id}")
    return RecordedCommit(release_id, commit, checkout.branch(), tagged, is_new)


def push_data(workspace: Workspace) -> None:
    """Copy what the run's dvc.lock names from the cache to the DVC remote; raises WorkspaceError when that fails."""
    code, tail = run_in(workspace, ["-m", "dvc", "push"])
    if code != 0:
        raise WorkspaceError(
            f"`dvc push` from {workspace.folder} ended with exit status {code}:\n{tail}",
            "Make the remote reachable (`dvc remote list`), and run the step again.",
        )
