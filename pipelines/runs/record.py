"""The last step of a run: its commit, its tag, its data in the remote, and both written where a version is read.

Every part may be repeated: a run that was interrupted here is recorded by running this again.
"""

from __future__ import annotations

import shlex
from typing import Final

from contracts.errors import WorkspaceError
from contracts.home import Home
from contracts.settings.identity_params import released_params
from contracts.settings.params_path import PARAMS
from contracts.settings.settings import load_settings
from pipelines.paths import BUNDLE
from pipelines.runs.repository import Repository
from pipelines.runs.run_commit import RecordedCommit, commit_release, push_data, tag_of
from pipelines.runs.workspace import find_or_rebuild, remove
from release.bundle.code_version import uncommitted
from release.bundle.manifest import load_manifest
from release.promotion.promotion import Promoter
from release.registry.registry import RELEASE_COMMIT_TAG, Version

MOST_NAMED: Final = 10  # files of a command that a person still reads


def record_run(repository: Repository, home: Home, run_id: str) -> list[str]:
    """Record the run and remove its workspace, which stays when something fails; returns what was done, in sentences.

    Raises WorkspaceError when the run has no workspace and is not over, made no registered release, or its data cannot
    be pushed, and what a promotion raises when a store is away.
    """
    workspace = find_or_rebuild(repository, home, run_id)
    settings = load_settings(workspace.folder / PARAMS)
    promoter = Promoter.open(settings, home)
    recorded = commit_release(Repository(workspace.folder), f"Run: {run_id}")
    version = _registered_version(promoter, recorded.release_id)
    push_data(workspace)
    promoter.record_commit(recorded.release_id, recorded.tagged_commit)
    decision = promoter.after_training(version.number)
    remove(repository, workspace, recorded=True)
    return [
        _say_committed(recorded),
        f"tag {recorded.tag} at {recorded.tagged_commit[:12]}, on version {version.number} of {settings.app}",
        f"promotion: {decision.verdict}. {decision.reason}" if decision else "promotion: none asked for",
    ]


def record_registered(checkout: Repository, promoter: Promoter, version: Version) -> str:
    """Record a release that was built in the checkout and registered from there; returns what was done, in a sentence.

    What git refuses is said in the sentence, too: the release is registered all the same. Raises RegistryUnavailable
    when MLflow is away.
    """
    if version.dirty:
        return (
            f"not recorded in git: it was built from uncommitted source. {_how_to_commit(checkout)} "
            f"Without it `git checkout {tag_of(version.release_id)}` finds nothing, and `refresh_features` cannot run"
        )
    params = released_params(load_settings(checkout.root / PARAMS))
    if params != load_manifest(checkout.root / BUNDLE).params:
        return (
            "not recorded in git: params.yaml was changed after it was built. `dvc repro`, and `slate register` again"
        )
    try:
        recorded = commit_release(checkout, "Made by `slate register`.")
    except WorkspaceError as error:
        return f"not recorded in git: {error.problem} {error.next_step}"
    if version.tags.get(RELEASE_COMMIT_TAG) != recorded.tagged_commit:
        promoter.record_commit(recorded.release_id, recorded.tagged_commit)
    return f"{_say_committed(recorded)}; tag {recorded.tag} at {recorded.tagged_commit[:12]}"


def _registered_version(promoter: Promoter, release_id: str) -> Version:
    version = promoter.registry.by_release(release_id)
    if version is None:
        raise WorkspaceError(
            f"Release {release_id} is not registered, so there is no version to write its commit on.",
            "Run the step `register` of this run, and then this one again.",
        )
    return version


def _how_to_commit(checkout: Repository) -> str:
    files = uncommitted(checkout.root)
    if not files:
        return "That is no longer there: `dvc repro`, and `slate register` again."
    if len(files) > MOST_NAMED:
        return f"Commit that ({len(files)} files: `git status`), and `slate register` again."
    return f"Commit that (`git add {shlex.join(files)} && git commit`), and `slate register` again."


def _say_committed(recorded: RecordedCommit) -> str:
    if recorded.is_new:
        return f"commit {recorded.commit[:12]}, tagged {recorded.tag}"
    return f"same release {recorded.release_id}: nothing to commit; it stands at {recorded.commit[:12]}"
