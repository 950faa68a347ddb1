"""Where state lives: everything under SLATE_HOME, as absolute paths, the same from every git worktree."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import WorkspaceError

_SIGNS = frozenset("%'\"[]{}#?;$`\\*<>|&")


@dataclass(frozen=True)
class Home:
    """The folders of SLATE_HOME."""

    root: Path

    @property
    def mlflow_database(self) -> Path:
        return self.root / "mlflow" / "mlflow.db"

    @property
    def mlflow_artifacts(self) -> Path:
        return self.root / "mlflow" / "artifacts"

    @property
    def journal_database(self) -> Path:
        return self.root / "journal.db"

    @property
    def redis(self) -> Path:
        return self.root / "redis"

    @property
    def dvc_cache(self) -> Path:
        return self.root / "dvc" / "cache"

    @property
    def dvc_remote(self) -> Path:
        return self.root / "dvc" / "remote"

    @property
    def worktrees(self) -> Path:
        return self.root / "worktrees"

    @property
    def applications(self) -> Path:
        return self.root / "applications"

    @property
    def bundles(self) -> Path:
        return self.root / "bundles"

    @property
    def generations(self) -> Path:
        return self.root / "generations"

    @property
    def downloads(self) -> Path:
        return self.root / "downloads"

    @property
    def traffic(self) -> Path:
        return self.root / "traffic"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def fits(self) -> Path:
        return self.root / "fits"

    @property
    def trainings(self) -> Path:
        return self.root / "trainings"

    @property
    def tuning(self) -> Path:
        return self.root / "tuning"

    @property
    def parity(self) -> Path:
        return self.root / "parity"

    @property
    def airflow(self) -> Path:
        return self.root / "airflow"

    @property
    def services(self) -> Path:
        return self.root / "services"


def main_checkout(start: Path) -> Path:
    """The main checkout that `start` belongs to, also when `start` is a worktree of it.

    Raises WorkspaceError outside a git checkout.
    """
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "--path-format=absolute", "--git-common-dir"],
            cwd=start,
            capture_output=True,
            text=True,
            check=True,
        )
    except FileNotFoundError as error:
        raise WorkspaceError("git is not on PATH.", "Install git, and try again.") from error
    except subprocess.CalledProcessError as error:
        raise WorkspaceError(
            f"{start} is not in a git checkout: {error.stderr.strip()}",
            "Clone the repository with git (a downloaded archive has no history to version with), "
            "or set SLATE_HOME to the folder that holds the state.",
        ) from error
    return Path(answer.stdout.strip()).parent


def check_plain(home: Home) -> None:
    """Raise WorkspaceError where the path holds what the programs we start do not take in their own files.

    DVC's configuration takes ASCII alone and reads % and quotes as its own signs, so does supervisor's, and an address
    of a database ends at ? or #.
    """
    path = str(home.root)
    refused = sorted({sign for sign in path if not (sign.isascii() and sign.isprintable()) or sign in _SIGNS})
    if refused:
        raise WorkspaceError(
            f"The path of SLATE_HOME holds {' '.join(refused)}, which DVC and others cannot have in theirs: {path}.",
            "Set SLATE_HOME to a folder with a plain path, such as `export SLATE_HOME=/var/tmp/slatework`, or move the "
            "checkout, and run the same command again. Nothing was written.",
        )


def check_quotable(checkout: Path) -> None:
    """Raise WorkspaceError where the path of the checkout holds both kinds of quotes.

    MLflow writes the current folder into a statement of SQL when it makes its database, as Python would print it.
    """
    if "'" in str(checkout) and '"' in str(checkout):
        raise WorkspaceError(
            f"The path of the checkout holds both ' and \", which MLflow cannot write into its database: {checkout}.",
            "Move the checkout to a path without one of them. Nothing was written.",
        )


def find_home(start: Path | None = None) -> Home:
    """SLATE_HOME when set, else `.slate/` of the main checkout around `start` (default: the current folder)."""
    named = os.environ.get("SLATE_HOME")
    if named:
        return Home(Path(named).expanduser().absolute())
    return Home(main_checkout(start or Path.cwd()) / ".slate")
