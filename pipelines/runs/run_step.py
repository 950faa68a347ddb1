"""One step of a run, in the run's own workspace: its code, its params, the Python that is running now."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from contracts.errors import Busy, StepInterrupted, WorkspaceError
from contracts.failure import FAILED
from pipelines.runs.workspace import Workspace

# How DVC says that another process holds the workspace; the first form goes on to name it.
BUSY = ("is busy, it is being blocked by", "Unable to acquire lock")
PAUSE_SECONDS = 5
MAX_TRIES = 360  # half an hour of pauses: longer than any stage that a person would run by hand beside a run
TAIL_LINES = 12  # enough for DVC's message about a lock
# What DVC advises after a stage; a run commits and pushes by itself.
_ADVICE = re.compile(
    r"To track the changes with git, run:|\tgit add |To enable auto staging, run:|\tdvc config core\.autostage|"
    r"Use `dvc push` to"
)
_STAGE_STATUS = re.compile(r"failed to run: .*, exited with (-?\d+)")


def reproduce(workspace: Workspace, stage: str, pause: Callable[[], None] = lambda: time.sleep(PAUSE_SECONDS)) -> None:
    """Run one DVC stage (all cutoffs of it) in the workspace, and nothing before it; output goes to stdout as it comes.

    While another DVC process holds the workspace, waits and says who it is.
    Raises WorkspaceError when the stage fails, Busy when the workspace stays held.
    """
    for _ in range(MAX_TRIES):
        code, tail = run_in(workspace, ["-m", "dvc", "repro", "--single-item", stage])
        if code == 0:
            return
        if not any(message in tail for message in BUSY):
            raise failed(workspace, stage, _status_of_stage(tail) or code)
        print(f"`{stage}` waits: another process, named by DVC above, holds this workspace", flush=True)
        pause()
    raise Busy(
        f"{workspace.folder} stayed held by another process while `{stage}` waited:\n{tail}",
        "End the process that DVC names, and run the step again.",
    )


def failed(workspace: Workspace, step: str, code: int) -> WorkspaceError:
    """The error of a step that ended with an exit status other than 0; what went wrong stands in its own output.

    StepInterrupted where the same step may go well another time: it was stopped, or something it needs was away.
    """
    ended = f"Step `{step}` ended with exit status {code}; its output is above. Workspace: {workspace.folder}"
    next_step = "Mend it and run the step again (in Airflow: clear the task). The stages before it are not run again."
    return WorkspaceError(ended, next_step) if code == FAILED else StepInterrupted(ended, next_step)


def _status_of_stage(tail: str) -> int | None:
    """The exit status of the stage itself, which DVC names in its last lines; None where it names none."""
    named = _STAGE_STATUS.findall(tail)
    return int(named[-1]) if named else None


def run_in(workspace: Workspace, arguments: Sequence[str]) -> tuple[int, str]:
    """Run Python with these arguments in the workspace; the exit status and the last lines of its output."""
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    with subprocess.Popen(
        [sys.executable, *arguments],
        cwd=workspace.folder,
        env=_environment(workspace),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            tail.append(line)
            if not _ADVICE.match(line):
                print(line, end="", flush=True)
    return process.returncode, "".join(tail)


def _environment(workspace: Workspace) -> dict[str, str]:
    # `python` in dvc.yaml must be the one running now; unbuffered, so that a log shows what happens as it happens.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", "SLATE_HOME": str(workspace.home.root)}
