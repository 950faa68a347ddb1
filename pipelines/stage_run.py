"""Runs one stage: settings in, errors out as one message, seconds and peak memory to SLATE_HOME/runs/.

What varies from run to run never goes into a stage's outputs; it goes there, and from there to MLflow.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from contracts.errors import SlateworkError, WorkspaceError, refused_by_system
from contracts.failure import FAILED, exit_status, write_cause
from contracts.home import find_home
from contracts.json_file import write_json
from contracts.settings.group import Group
from contracts.settings.loading import load_groups
from contracts.stage_code import GRAPH, NO_CODE, code_of_stage, is_ours
from pipelines.memory_forecast import check_memory

Params = TypeVar("Params", bound=Group)


def run_stage(
    stage: str,
    params: type[Params],
    run: Callable[[Params], dict[str, Any] | None],
    cutoff: str | None = None,
    load: Callable[[type[Params]], Params] = load_groups,
) -> None:
    """Run `run` with its groups of params.yaml, checked, and record what it cost; exits with one message if it fails.

    What `run` returns (JSON-like, or None) is kept beside seconds and memory.
    """
    started = time.perf_counter()
    try:
        check_code_is_named(stage)
        check_memory(stage)
        notes = run(load(params)) or {}
        check_code_is_named(stage)  # again, with what was imported inside functions
        _record(stage, cutoff, time.perf_counter() - started, notes)
    except SlateworkError as error:
        message = f"{stage}: {type(error).__name__}: {error}"
        write_cause(message)
        if exit_status(error) == FAILED:
            sys.exit(message)
        print(message, file=sys.stderr)
        sys.exit(exit_status(error))
    except KeyboardInterrupt:
        sys.exit(f"{stage}: interrupted. Nothing half-written is used: run the same command again to go on.")
    except OSError as error:
        message = f"{stage}: {refused_by_system(error)}"
        write_cause(message)
        sys.exit(message)


def check_code_is_named(stage: str) -> None:
    """Refuse to run what dvc.yaml does not name: an edit of it would not run the stage again, and nobody would know."""
    if stage in NO_CODE or not GRAPH.is_file():
        return
    unnamed = sorted(_loaded_code() - set(code_of_stage(GRAPH.read_text(encoding="utf-8"), stage)))
    if unnamed:
        raise WorkspaceError(
            f"{GRAPH} does not name {', '.join(unnamed)} under `{stage}`, which imports it.",
            "Run `make dependencies`, and the same command again.",
        )


def _loaded_code() -> set[str]:
    """The files of code in the working directory that this process has imported."""
    files = (Path(file) for module in sys.modules.values() if (file := getattr(module, "__file__", None)))
    names = (file.relative_to(Path.cwd()).as_posix() for file in files if file.is_relative_to(Path.cwd()))
    return {name for name in names if is_ours(name)}


def _record(stage: str, cutoff: str | None, seconds: float, notes: dict[str, Any]) -> None:
    name = f"{stage}@{cutoff}" if cutoff else stage
    record = {"stage": name, "seconds": round(seconds, 3), "peak_memory_mib": peak_memory_mib(), **notes}
    write_json(record, run_folder() / f"{name}.json")


def run_folder() -> Path:
    """Where this workspace keeps what varies from run to run: one folder per checkout or worktree."""
    return find_home().runs / Path.cwd().name


def peak_memory_mib() -> int:
    """The most memory this process held, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    bytes_per_unit = 1 if sys.platform == "darwin" else 1024
    return round(peak * bytes_per_unit / 2**20)
