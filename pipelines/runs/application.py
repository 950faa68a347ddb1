"""An application's own place to work: a git worktree under SLATE_HOME whose params.yaml is made from its preset.

The application that the checkout's params.yaml names works in the checkout itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contracts.errors import SettingsError, WorkspaceError
from contracts.home import Home
from contracts.settings.params_path import PARAMS
from contracts.settings.presets import load_preset
from contracts.settings.settings import load_settings
from contracts.whole_files import write_whole
from pipelines.runs.overrides import write_overrides
from pipelines.runs.repository import Repository
from pipelines.runs.workspace import configure_dvc


def is_own(repository: Repository, app: str) -> bool:
    """Whether this is the application that the checkout itself works on."""
    return load_settings(repository.root / PARAMS).app == app


def application_folder(home: Home, app: str) -> Path:
    """Where an application works, whether it is there yet or not."""
    return home.applications / app


def _move_with_lock(checkout: Repository, commit: str) -> None:
    """Check the commit out, and keep what DVC noted of the stages that ran: here it may be committed."""
    lock = checkout.root / "dvc.lock"
    ran = lock.read_bytes() if lock.is_file() else None
    checkout.move_to(commit)
    if ran is not None:
        write_whole(lock, ran)


def find_application(repository: Repository, home: Home, app: str) -> Path:
    """Where an application works; raises SettingsError where it has no preset, WorkspaceError before its first demo."""
    load_preset(repository.root, app)
    folder = application_folder(home, app)
    if not repository.has_worktree(folder) or not folder.is_dir():
        raise WorkspaceError(
            f"Application {app} has no workspace yet: {folder} is not there.",
            f"Make it, and build its first release: `slate demo --app {app}`.",
        )
    return folder


def _check_source(checkout: Path, app: str, overrides: Mapping[str, Any]) -> None:
    """Raise SettingsError where an export is named by a path that means another place in the application's folder."""
    path = str(overrides.get("ingest.path", ""))
    if overrides.get("ingest.source") == "files" and "://" not in path and not Path(path).is_absolute():
        found = repr(path) if path else "nothing"
        raise SettingsError(
            f"presets/{app}.yaml, ingest.path: found {found}; expected an absolute path, for the application works in "
            "a folder of its own.",
            f"Write where the export lies, such as {(checkout / (path or 'inbox')).resolve()}.",
        )


def prepare_application(repository: Repository, home: Home, app: str) -> Path:
    """The application's workspace at the checkout's commit, with the preset in its params.yaml; what it built stays.

    The preset is read as it lies in the checkout, edits included; of everything else, what is committed counts.
    """
    overrides = load_preset(repository.root, app)
    _check_source(repository.root, app, overrides)
    folder = application_folder(home, app)
    commit = repository.commit_of("HEAD")
    if repository.has_worktree(folder) and folder.is_dir():
        _move_with_lock(Repository(folder), commit)
    else:
        repository.add_worktree(folder, commit, f"app/{app}")
    configure_dvc(folder, home, like=repository.root)
    write_overrides(folder / PARAMS, overrides)
    return folder
