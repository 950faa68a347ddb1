"""Which code is this? A fingerprint of the sources for the release id, and git's word for the record."""

from __future__ import annotations

import subprocess
from pathlib import Path

from contracts.errors import WorkspaceError
from contracts.fingerprint import fingerprint_file, fingerprint_json

# The rooms whose sources can change what a release answers; serving, cli and dags only carry it around.
ROOMS = ("contracts", "sources", "feature_store", "recommender", "release", "pipelines")


def code_fingerprint(root: Path) -> str:
    """The fingerprint of the rooms' Python sources below the checkout `root`, by relative name and bytes.

    Raises WorkspaceError when a room is not there: a fingerprint of nothing would name every code.
    """
    return fingerprint_json({name: fingerprint_file(root / name) for room in ROOMS for name in _sources(root, room)})


def git_version(root: Path) -> tuple[str, bool]:
    """The commit that is checked out, and whether a room's sources differ from it (changed, staged or untracked).

    params.yaml and dvc.lock do not count: they are committed after the release is made.
    Raises WorkspaceError where there is no git, no checkout or no commit.
    """
    commit = _git(root, "rev-parse", "--verify", "HEAD").strip()
    changes = _git(root, "status", "--porcelain", "--untracked-files=all", "--", *ROOMS)
    return commit, bool(changes.strip())


def built_from(root: Path, code: str) -> tuple[str, bool]:
    """The commit that is checked out, and whether the code with this fingerprint is another than that commit's.

    Raises WorkspaceError as `git_version` and `code_fingerprint` do.
    """
    commit, changed = git_version(root)
    return commit, changed or code_fingerprint(root) != code


def _sources(root: Path, room: str) -> list[str]:
    names = sorted(path.relative_to(root).as_posix() for path in (root / room).rglob("*.py"))
    if not names:
        raise WorkspaceError(
            f"{root / room} holds no Python sources, so the code of the release cannot be named.",
            "Run from the checkout's top folder.",
        )
    return names


def _git(root: Path, *arguments: str) -> str:
    try:
        answer = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
    except FileNotFoundError as error:
        raise WorkspaceError(f"git is not on PATH, or {root} does not exist.", "Install git, and try again.") from error
    except subprocess.CalledProcessError as error:
        raise WorkspaceError(
            f"git could not tell the version of {root}: {error.stderr.strip()}",
            "Run inside a git checkout that has at least one commit.",
        ) from error
    return answer.stdout
