"""`slate baseline`: what the data is held against, and how today's becomes the new normal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from contracts.errors import ValidationFailed, WorkspaceError


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    commands = typer.Typer(help="What validation holds volumes and columns against.", invoke_without_command=True)
    commands.callback()(show)
    commands.command()(accept)
    app.add_typer(commands, name="baseline")


def show(context: typer.Context, *, as_json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """Show the baseline, and how far the last validation was from it."""
    if context.invoked_subcommand:
        return
    from sources.baseline import read_baseline

    path, result = _path(), _last_result()
    baseline = read_baseline(path)
    told = {"baseline": path, "rows": dict(baseline.rows), "profiled": sorted(baseline.profiles)}
    if as_json:
        print(json.dumps({**told, "drift": result.get("drift", [])}, indent=1))
        return
    print(f"{path}: " + (_volumes(baseline.rows) if baseline.rows else "nothing was accepted yet"))
    for drift in result.get("drift", []):
        psi = "" if drift["psi"] is None else f"{drift['psi']:.3f}"
        print(f"  {drift['table']}.{drift['column']:<28}{psi:>8}  {drift['verdict']}  {drift['reason']}".rstrip())


def accept(*, as_json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """Take the last validation of this checkout as the baseline, also if it failed for nothing but the old one."""
    path, result = _path(), _last_result()
    _check_it_is_sound(result)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"tables": _what_is_compared(result)}, indent=1, sort_keys=True, ensure_ascii=False)
    Path(path).write_text(text + "\n", encoding="utf-8")
    rows = {name: table["rows"] for name, table in result["tables"].items()}
    if as_json:
        print(json.dumps({"baseline": path, "rows": rows}))
        return
    print(f"{path}: {_volumes(rows)}\nCommit it; `dvc repro` holds the data against it from now on.")


def _path() -> str:
    from contracts.settings import load_settings

    return load_settings().validate_.baseline


def _last_result() -> dict[str, Any]:
    from pipelines.stage_run import run_folder

    path = run_folder() / "validation" / "validation.json"
    if not path.is_file():
        raise WorkspaceError(f"Nothing was validated here yet: {path} is missing.", "Run `dvc repro validate`.")
    result: dict[str, Any] = json.loads(path.read_bytes())
    return result


def _check_it_is_sound(result: dict[str, Any]) -> None:
    from contracts.validation_rules import is_about_the_baseline

    others = sorted({one["rule"] for one in result["failures"] if not is_about_the_baseline(one["rule"])})
    if others:
        raise ValidationFailed(
            f"The last validation also broke {', '.join(others)}: such data is no baseline.",
            "Look at it with `slate quarantine`, and mend the source first.",
        )


def _what_is_compared(result: dict[str, Any]) -> dict[str, Any]:
    return {name: {"rows": table["rows"], "profile": table["profile"]} for name, table in result["tables"].items()}


def _volumes(rows: Any) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in rows.items())
