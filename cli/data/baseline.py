"""`slate baseline`: the validation that new data is compared with; `accept` makes it the last one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from cli.output import AsJson, print_result
from contracts.errors import ValidationFailed, WorkspaceError
from contracts.json_file import write_json


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    commands = typer.Typer(
        help="The baseline: the volumes and columns that validation compares new data with.",
        invoke_without_command=True,
    )
    commands.callback()(show)
    commands.command()(accept)
    app.add_typer(commands, name="baseline")


def show(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Show the baseline, and how far the last validation was from it."""
    if context.invoked_subcommand:
        return
    from sources.validation.baseline import read_baseline

    path, result = _path(), _last_result()
    baseline = read_baseline(path)
    drifts = result.get("drift", [])
    shown = {"baseline": path, "rows": dict(baseline.rows), "profiled": sorted(baseline.profiles), "drift": drifts}
    head = f"{path}: " + (_volumes(baseline.rows) if baseline.rows else "nothing was accepted yet")
    print_result(shown, as_json, "\n".join([head, *map(_drift_line, drifts)]))


def _drift_line(drift: dict[str, Any]) -> str:
    psi = "" if drift["psi"] is None else f"{drift['psi']:.3f}"
    return f"  {drift['table']}.{drift['column']:<28}{psi:>8}  {drift['verdict']}  {drift['reason']}".rstrip()


def accept(*, as_json: AsJson = False) -> None:
    """Take the last validation of this checkout as the baseline, also if it failed for nothing but the old one."""
    path, result = _path(), _last_result()
    _check_result(result)
    write_json({"tables": _baseline_content(result)}, Path(path))
    rows = {name: table["rows"] for name, table in result["tables"].items()}
    text = f"{path}: {_volumes(rows)}\nCommit it; `dvc repro` holds the data against it from now on."
    print_result({"baseline": path, "rows": rows}, as_json, text)


def _path() -> str:
    from contracts.settings.settings import load_settings

    return load_settings().validate_.baseline


def _last_result() -> dict[str, Any]:
    from pipelines.stage_run import run_folder

    path = run_folder() / "validation" / "validation.json"
    if not path.is_file():
        raise WorkspaceError(f"Nothing was validated here yet: {path} is missing.", "Run `dvc repro validate`.")
    try:
        result: dict[str, Any] = json.loads(path.read_bytes())
    except ValueError as error:
        raise WorkspaceError(f"{path} is no result of a validation: {error}.", "Run `dvc repro validate`.") from error
    return result


def _check_result(result: dict[str, Any]) -> None:
    from contracts.validation_rules import is_about_the_baseline

    others = sorted({one["rule"] for one in result["failures"] if not is_about_the_baseline(one["rule"])})
    if others:
        raise ValidationFailed(
            f"The last validation also broke {', '.join(others)}: such data is no baseline.",
            "Look at it with `slate quarantine`, and mend the source first.",
        )


def _baseline_content(result: dict[str, Any]) -> dict[str, Any]:
    return {name: {"rows": table["rows"], "profile": table["profile"]} for name, table in result["tables"].items()}


def _volumes(rows: Any) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in rows.items())
