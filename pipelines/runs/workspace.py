"""A run's own place to work: a git worktree under SLATE_HOME, with DVC's cache shared between all of them.

    SLATE_HOME/worktrees/<slug>/       the worktree, on no branch
    SLATE_HOME/worktrees/<slug>.json   what was asked for; written last: without it the worktree is unfinished

Two runs never share a workspace, so neither waits for the other or sees its edits. The ref refs/slate/runs/<slug>,
which no list of branches shows, keeps what was committed once the worktree is gone.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from contracts.errors import WorkspaceError
from contracts.fingerprint import fingerprint_bytes
from contracts.home import Home, check_plain, check_quotable
from contracts.json_file import write_json
from contracts.settings.params_path import PARAMS
from contracts.settings.settings import load_settings
from pipelines.runs.local_source import link_source
from pipelines.runs.repository import Repository

REMOTE = "home"
SLUG_LENGTH = 60  # with branch prefix and folder far under every file system's limit of 255


@dataclass(frozen=True)
class RunRequest:
    """What a run was asked to do: its id, the commit it starts from, and the parameters it changes."""

    run_id: str
    commit: str
    overrides: dict[str, Any]


@dataclass(frozen=True)
class Workspace:
    """The worktree of one run, whether it is there yet or not."""

    home: Home
    slug: str

    @classmethod
    def of_run(cls, home: Home, run_id: str) -> Workspace:
        return cls(home, slug_of(run_id))

    @property
    def folder(self) -> Path:
        return self.home.worktrees / self.slug

    @property
    def branch_of_before(self) -> str:
        """The branch that a run's worktree was on, until runs had none."""
        return f"run/{self.slug}"

    @property
    def kept_ref(self) -> str:
        """The ref that keeps what the run committed, once its worktree is gone."""
        return f"refs/slate/runs/{self.slug}"

    @property
    def request(self) -> RunRequest | None:
        """What it was prepared for, or None when it was never finished."""
        try:
            return RunRequest(**json.loads(self._record.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    @property
    def is_ready(self) -> bool:
        return self.request is not None and self.folder.is_dir()

    def seal(self, request: RunRequest) -> None:
        """Say, in one step, that the workspace is finished."""
        write_json(asdict(request), self._record)

    def unseal(self) -> None:
        """Say that the workspace is not (or no longer) to be used."""
        self._record.unlink(missing_ok=True)

    @property
    def _record(self) -> Path:
        return self.home.worktrees / f"{self.slug}.json"


def slug_of(run_id: str) -> str:
    """A name made of a-z, 0-9 and dashes for any run id: readable, and different for different ids."""
    readable = re.sub(r"[^a-z0-9]+", "-", run_id.lower()).strip("-")[:SLUG_LENGTH].strip("-")
    return "-".join(filter(None, (readable, fingerprint_bytes(run_id.encode())[:6])))


def prepare(repository: Repository, home: Home, run_id: str, ref: str, overrides: Mapping[str, Any]) -> Workspace:
    """The run's workspace at the commit that `ref` names, with the overrides in its params.yaml.

    One that is there already for the same request (a retry) is returned as it is, with what its stages have done so
    far; one for another commit or other overrides is made anew. Raises WorkspaceError when ref names no commit,
    SettingsError when an override is wrong, and then nothing is left behind.
    """
    workspace = Workspace.of_run(home, run_id)
    request = RunRequest(run_id, repository.commit_of(ref), dict(overrides))
    if workspace.is_ready and workspace.request == request:
        return workspace
    from pipelines.runs.overrides import check_overrides  # noqa: PLC0415 - a YAML library that only this needs

    check_overrides(repository.file_at(request.commit, str(PARAMS)), overrides)
    _make(repository, workspace, request)
    return workspace


def find_or_rebuild(repository: Repository, home: Home, run_id: str) -> Workspace:
    """The run's workspace; where it was removed, as it is after a run, one like it from what the run committed.

    Raises WorkspaceError where the run committed nothing.
    """
    workspace = Workspace.of_run(home, run_id)
    commit = None if workspace.is_ready else repository.commit_at(workspace.kept_ref)
    if commit is not None:
        print(f"run {run_id} is over: its workspace is made again from its commit {commit[:12]}", flush=True)
        _make(repository, workspace, RunRequest(run_id, commit, {}))
        _bring_outputs(workspace)
    return find(home, run_id)


def _make(repository: Repository, workspace: Workspace, request: RunRequest) -> None:
    from pipelines.runs.overrides import write_overrides  # noqa: PLC0415 - a YAML library that only this needs

    remove(repository, workspace)
    repository.add_worktree(workspace.folder, request.commit)
    try:
        configure_dvc(workspace.folder, workspace.home, like=repository.root)
        write_overrides(workspace.folder / PARAMS, request.overrides)
        link_source(repository.root, workspace.folder)
        _link_traffic(workspace)
    except BaseException:
        remove(repository, workspace)
        raise
    workspace.seal(request)


def _bring_outputs(workspace: Workspace) -> None:
    """What the run's stages made, out of DVC's cache; a stage whose output is in no cache any more runs again."""
    command = [sys.executable, "-m", "dvc", "checkout", "--quiet", "--allow-missing"]
    subprocess.run(command, cwd=workspace.folder, check=False)


def _link_traffic(workspace: Workspace) -> None:
    from pipelines.traffic_collection import link_traffic  # noqa: PLC0415 - polars, which only runs with traffic need

    settings = load_settings(workspace.folder / PARAMS)
    link_traffic(workspace.home, settings.app, workspace.folder / settings.ingest.traffic)


def find(home: Home, run_id: str) -> Workspace:
    """The run's workspace; raises WorkspaceError when it is not there or unfinished."""
    workspace = Workspace.of_run(home, run_id)
    if not workspace.is_ready:
        raise WorkspaceError(
            f"Run {run_id!r} has no finished workspace at {workspace.folder}.",
            "Prepare it with `slate workspace prepare`; in Airflow, clear the task `prepare` and those after it.",
        )
    return workspace


def kept(home: Home) -> list[Workspace]:
    """The workspaces that are there, by name: of runs under way, and of runs that failed."""
    return [Workspace(home, path.stem) for path in sorted(home.worktrees.glob("*.json"))]


def remove(repository: Repository, workspace: Workspace, *, recorded: bool = False) -> None:
    """Remove the worktree, finished or not; what was committed there stays under `kept_ref`.

    recorded: the run is over, and where it stands is worth keeping even if there was nothing to commit.
    """
    request, is_there = workspace.request, repository.has_worktree(workspace.folder)
    on_branch = repository.commit_at(f"refs/heads/{workspace.branch_of_before}")
    tip = Repository(workspace.folder).commit_at("HEAD") if is_there and workspace.folder.is_dir() else on_branch
    if tip and request and (recorded or tip != request.commit):
        repository.keep_commit(workspace.kept_ref, tip)
    workspace.unseal()
    if is_there:
        repository.remove_worktree(workspace.folder)
    if workspace.folder.exists():
        shutil.rmtree(workspace.folder)
    if on_branch:
        repository.remove_branch(workspace.branch_of_before)


def configure_dvc(checkout: Path, home: Home, like: Path | None = None) -> None:
    """Point DVC of a checkout or worktree at the cache under SLATE_HOME, and at the remote there unless it has another.

    like: the checkout whose own .dvc/config.local (a remote, its credentials) is taken over first.
    Written to .dvc/config.local, which git ignores; what else stands in that file stays. Raises WorkspaceError, before
    anything is written, where the path of SLATE_HOME cannot stand there, or MLflow cannot write down the checkout's.
    """
    check_plain(home)
    check_quotable(checkout.absolute())
    from dvc.config import Config  # noqa: PLC0415 - a second of imports that only runs need

    config = Config(dvc_dir=str(checkout / ".dvc"))
    with config.edit("local") as local:
        if like is not None:
            local.update(Config(dvc_dir=str(like / ".dvc")).load_one("local"))
        local.setdefault("cache", {})["dir"] = str(home.dvc_cache)
        local.setdefault("remote", {})[REMOTE] = {"url": str(home.dvc_remote)}
    if not config["core"].get("remote"):
        with config.edit("local") as local:
            local.setdefault("core", {})["remote"] = REMOTE
    home.dvc_remote.mkdir(parents=True, exist_ok=True)
