"""Which code is this? A fingerprint of the sources for the release id, and git's word for the record.

What counts is what runs when a release is built and measured: the stages and, called by them, the request path.
dvc.yaml names these files, a project's own among them, under the stage `release`
(docs/adr/0018-exact-dependencies.md). What runs only later (serving, promotion, the online store) runs as it is checked
out then, for every release alike.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from contracts.errors import WorkspaceError
from contracts.fingerprint import fingerprint_file, fingerprint_json
from contracts.stage_code import GRAPH, code_of_stage, own_code_of_stages, what_is_run

STAGE = "release"


class CodeGone(WorkspaceError):
    """A file of code that dvc.yaml names is not there."""


def code_fingerprint(root: Path) -> str:
    """The fingerprint of the code that the checkout `root` builds releases with, by relative name and bytes.

    A checkout of before names whole folders: then every Python file in them counts, as it did when it was current.
    Raises WorkspaceError when no code is named, CodeGone when some is not there: a fingerprint of nothing would name
    every code.
    """
    names = _code_at(root)
    if not names:
        raise WorkspaceError(f"{root / GRAPH} names no code under `{STAGE}`.", "Run `make dependencies`.")
    return fingerprint_json({file: fingerprint_file(root / file) for name in names for file in _code_files(root, name)})


def git_version(root: Path) -> tuple[str, bool]:
    """The commit that is checked out, and whether anything is `uncommitted`; raises as that does."""
    commit = _git(root, "rev-parse", "--verify", "HEAD").strip()
    return commit, bool(uncommitted(root))


def uncommitted(root: Path) -> list[str]:
    """The files, relative to `root`, that the commit lacks or has otherwise: code, and dvc.yaml if it runs otherwise.

    Python of the project's own counts whichever stage names it, also where git ignores it. params.yaml and dvc.lock do
    not count: they are committed after the release is made.
    Raises WorkspaceError where there is no git, no checkout or no commit.
    """
    graph = what_is_run(_graph_at(root))
    names = sorted({*_code_at(root), *own_code_of_stages(graph["stages"])})
    committed = _git_files(root, "ls-tree", "-r", "--name-only", "-z", "HEAD", "--", *names)
    files = {name for name in names if (root / name).is_file()} - committed
    files |= _git_files(root, "diff", "--name-only", "--relative", "--no-renames", "-z", "HEAD", "--", *names)
    if folders := [name for name in names if (root / name).is_dir()]:
        files |= _git_files(root, "ls-files", "--others", "--exclude-standard", "-z", "--", *folders)
    if what_is_run(_git(root, "show", f"HEAD:./{GRAPH}")) != graph:
        files.add(str(GRAPH))
    return sorted(files)


def built_from(root: Path, code: str) -> tuple[str, bool]:
    """The commit that is checked out, and whether the code with this fingerprint is another than that commit's.

    A commit that lacks a file which its own dvc.yaml names built nothing, so the code is another.
    Raises WorkspaceError as `git_version` does, and where no code is named.
    """
    commit, changed = git_version(root)
    return commit, changed or not _is_code(root, code)


def _is_code(root: Path, code: str) -> bool:
    try:
        return code_fingerprint(root) == code
    except CodeGone:
        return False


def _code_at(root: Path) -> list[str]:
    return code_of_stage(_graph_at(root), STAGE)


def _graph_at(root: Path) -> str:
    try:
        return (root / GRAPH).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise WorkspaceError(
            f"{root / GRAPH} is missing, so the code of the release cannot be named.",
            "Run from the checkout's top folder.",
        ) from error


def _code_files(root: Path, name: str) -> list[str]:
    if (root / name).is_file():
        return [name]
    files = sorted(path.relative_to(root).as_posix() for path in (root / name).rglob("*.py"))
    if not files:
        raise CodeGone(
            f"{root / name} is missing, though {root / GRAPH} names it: the code of the release cannot be named.",
            "Bring it back with git; where it is gone for good, run `make dependencies`.",
        )
    return files


def _git_files(root: Path, *arguments: str) -> set[str]:
    return set(_git(root, *arguments).split("\0")) - {""}


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
