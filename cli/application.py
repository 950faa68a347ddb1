"""Which application a command is about: it goes on in the workspace of that one, with the code that stands there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from contracts.home import find_home, main_checkout

# These say themselves where they work; `simulate` means another thing by an application.
STAY = frozenset({"clean", "setup", "simulate", "workspace"})
PREPARES = "demo"


def enter(app: str, command: str | None) -> None:
    """Do nothing where the command stands in the application's workspace; else start it again in there.

    The demo makes the workspace, and brings it to the checkout's commit; raises WorkspaceError where another command
    finds none.
    """
    from pipelines.runs.application import find_application, is_own, prepare_application
    from pipelines.runs.repository import Repository

    os.environ["SLATE_APP"] = app  # what this command starts is about the same one
    repository, home = Repository(main_checkout(Path.cwd())), find_home()
    os.environ["SLATE_HOME"] = str(home.root)  # it may have been relative to here
    if command in STAY or is_own(repository, app) or Path.cwd() == (home.applications / app).resolve():
        return
    if command == PREPARES:
        folder = prepare_application(repository, home, app)
        print(f"application {app} works in {folder}, on {repository.commit_of('HEAD')[:12]}", flush=True)
    else:
        folder = find_application(repository, home, app)
    os.chdir(folder)
    os.execv(sys.executable, [sys.executable, "-m", "cli.main", *sys.argv[1:]])  # noqa: S606 - our own command, again
