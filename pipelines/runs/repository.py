"""A git checkout, as far as runs need it: commits, worktrees, tags, with nothing asked of the user's settings."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from contracts.errors import WorkspaceError

IDENTITY = {
    "GIT_AUTHOR_NAME": "Slatework",
    "GIT_AUTHOR_EMAIL": "slatework@localhost",
    "GIT_COMMITTER_NAME": "Slatework",
    "GIT_COMMITTER_EMAIL": "slatework@localhost",
}
# A person's hooks and signing keys belong to their own commits: a run has no terminal to ask on.
UNATTENDED = ("-c", "core.hooksPath=/dev/null", "-c", "commit.gpgSign=false", "-c", "tag.gpgSign=false")


class Repository:
    """The checkout (or worktree) at `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def commit_of(self, ref: str) -> str:
        """The commit that a branch, tag or id names; raises WorkspaceError for a ref that names none."""
        answer = self._run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        if answer.returncode != 0:
            raise WorkspaceError(
                f"{ref!r} names no commit in {self.root}.",
                "See `git branch --all` and `git tag`; what only a remote has comes with `git fetch`.",
            )
        return answer.stdout.strip()

    def file_at(self, commit: str, name: str) -> bytes:
        """What a file holds in a commit; raises WorkspaceError where the commit has none of that name."""
        return self._git("show", f"{commit}:./{name}").encode()

    def keep_commit(self, ref: str, commit: str) -> None:
        """Keep a commit by a ref that is no branch; it is replaced where it is there."""
        self._git("update-ref", ref, commit)

    def commit_at(self, ref: str) -> str | None:
        """The commit of a ref by its full name (`refs/heads/main`); None where there is no such ref."""
        answer = self._run("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
        return answer.stdout.strip() if answer.returncode == 0 else None

    def remove_branch(self, branch: str) -> None:
        """Remove a branch, merged or not."""
        self._git("branch", "--delete", "--force", "--", branch)

    def branch(self) -> str:
        """The branch that is checked out; `HEAD` where none is."""
        return self._git("rev-parse", "--abbrev-ref", "HEAD").strip()

    def uncommitted(self) -> list[str]:
        """Files that differ from the commit that is checked out, changed or new."""
        lines = self._git("status", "--porcelain", "--untracked-files=all").splitlines()
        return [line[3:] for line in lines]

    def add_worktree(self, folder: Path, commit: str, branch: str | None = None) -> None:
        """Check `commit` out in a new folder, on `branch`, which is moved there when it exists already, or on none."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        on = ["--detach"] if branch is None else ["-B", branch]
        self._git("worktree", "prune")
        self._git("worktree", "add", "--quiet", "--force", *on, str(folder), commit)

    def move_to(self, commit: str) -> None:
        """Check `commit` out in place of what is there; edits of tracked files are gone, untracked files stay."""
        self._git("reset", "--quiet", "--hard", commit)

    def remove_worktree(self, folder: Path) -> None:
        """Remove a worktree and what is in it; its branch stays."""
        # Twice: once for what is uncommitted in it, once for a lock left by a `worktree add` that was killed.
        self._git("worktree", "remove", "--force", "--force", str(folder))

    def has_worktree(self, folder: Path) -> bool:
        """Whether git knows `folder` as a worktree."""
        entries = self._git("worktree", "list", "--porcelain").splitlines()
        return f"worktree {folder.resolve()}" in entries

    def commit_files(self, names: Sequence[str], message: str) -> bool:
        """Commit these files alone; False, and no empty commit, when none of them differs."""
        self._git("add", "--force", "--", *names)
        if self._run("diff", "--cached", "--quiet", "--", *names).returncode == 0:
            return False
        self._git("commit", "--quiet", "--only", "--message", message, "--", *names)
        return True

    def has_tag(self, name: str) -> bool:
        """Whether there is a tag of this name."""
        return self._run("rev-parse", "--verify", "--quiet", f"refs/tags/{name}").returncode == 0

    def tag(self, name: str, commit: str, message: str) -> str:
        """The commit that tag `name` stands at: `commit` when it is new, where it was when it exists."""
        if not self.has_tag(name):
            self._git("tag", "--annotate", "--message", message, "--", name, commit)
        return self.commit_of(f"refs/tags/{name}")

    def _git(self, *arguments: str) -> str:
        answer = self._run(*arguments)
        if answer.returncode != 0:
            raise WorkspaceError(
                f"`git {arguments[0]}` failed in {self.root}: {(answer.stderr or answer.stdout).strip()}",
                "Mend what git names, and run the same command again.",
            )
        return answer.stdout

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **IDENTITY}
        try:
            return subprocess.run(
                ["git", *UNATTENDED, *arguments],
                cwd=self.root,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
        except FileNotFoundError as error:
            raise WorkspaceError(
                f"git is not on PATH, or {self.root} is gone.", "Install git, and try again."
            ) from error
