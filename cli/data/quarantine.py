"""`slate quarantine`: the rows that the last validation put aside, counted by rule, and some of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import AsJson, print_json
from contracts.errors import WorkspaceError
from contracts.printable import printable_line

if TYPE_CHECKING:
    import polars as pl

N_FILES = 10

Rule = Annotated[str, typer.Option("--rule", help="Only rows that break this rule.")]
NRows = Annotated[int, typer.Option("--rows", min=0, help="Sample rows shown of each reason.")]


def add_to(app: typer.Typer) -> None:
    """Register the command of this module."""
    app.command()(quarantine)


def quarantine(*, rule: Rule = "", rows: NRows = 2, as_json: AsJson = False) -> None:
    """Show what the last validation of this checkout put in quarantine, also if it failed."""
    from contracts.tables import SCHEMAS

    report = _report_folder()
    result = json.loads((report / "validation.json").read_bytes())
    tables = {name: _table_summary(report, name, result["tables"].get(name, {}), rule, rows) for name in SCHEMAS}
    files = _counts_by_file(report)
    for name, table in tables.items():
        table["by_file"] = files.get(name, {})
    if rule and not any(rule in table["known_rules"] for table in tables.values()):
        known = sorted({one for table in tables.values() for one in table["known_rules"]})
        raise WorkspaceError(f"No rule of the last validation is called {rule}.", f"Rules: {', '.join(known)}.")
    for table in tables.values():
        del table["known_rules"]
    if as_json:
        print_json({"success": result["success"], "report": str(report), "tables": tables}, indented=True)
        return
    _print(result, report, tables)


def _report_folder() -> Path:
    from pipelines.stage_run import run_folder

    folder = run_folder() / "validation"
    if not (folder / "validation.json").is_file():
        raise WorkspaceError(f"Nothing was validated here yet: {folder} is missing.", "Run `dvc repro validate`.")
    return folder


def _table_summary(report: Path, name: str, counts: dict[str, Any], rule: str, n_rows: int) -> dict[str, Any]:
    import polars as pl

    from contracts.tables import read_parquet

    rules = counts.get("rules", {})
    broken = {one: result["rows_broken"] for one, result in rules.items() if result["rows_broken"]}
    rows = read_parquet(report / "quarantine" / f"{name}.parquet")
    if rule:
        broken = {one: count for one, count in broken.items() if one == rule}
        rows = rows.filter(pl.col("reason").str.split(", ").list.contains(rule))
    return {
        "rows": counts.get("rows", 0),
        "quarantined": counts.get("quarantined", 0),
        "by_rule": {one: {"rows": count, "says": rules[one]["says"]} for one, count in broken.items()},
        "sample": _sample(rows, n_rows).to_dicts(),
        "known_rules": list(rules),
    }


def _counts_by_file(report: Path) -> dict[str, dict[str, dict[str, int]]]:
    """By table and file the counts of its rows; none in a report made before they were kept."""
    path = report / "files.json"
    return json.loads(path.read_bytes()) if path.is_file() else {}


def _sample(rows: pl.DataFrame, n_rows: int) -> pl.DataFrame:
    """So many rows of each reason, so that none hides behind many of another."""
    import polars as pl

    return rows.filter(pl.int_range(pl.len()).over("reason") < n_rows)


def _print(result: dict[str, Any], report: Path, tables: dict[str, Any]) -> None:
    for name, table in tables.items():
        share = table["quarantined"] / table["rows"] if table["rows"] else 0.0
        print(f"{name}: {table['quarantined']:,} of {table['rows']:,} rows in quarantine ({share:.2%})")
        for rule, broken in table["by_rule"].items():
            print(f"  {broken['rows']:>9,}  {rule:26}expected that {broken['says']}")
        if table["by_rule"]:
            print("             a row that breaks several rules counts at each of them")
        for line in _file_lines(table["by_file"]):
            print(f"  {printable_line(line)}")
        for row in table["sample"]:
            print(f"    {_row_text(row)}")
    print(f"{'passed' if result['success'] else 'failed'}; every row and rule: {report}")


def _file_lines(by_file: dict[str, dict[str, int]]) -> Iterator[str]:
    """Of several files, those with most rows in quarantine."""
    bad = {file: counts for file, counts in by_file.items() if counts["quarantined"]}
    for file, counts in list(bad.items())[: N_FILES if len(by_file) > 1 else 0]:
        repeats = f", {counts['repeated']:,} of them repeat earlier rows" if counts["repeated"] else ""
        yield f"{counts['quarantined']:>9,}  of {counts['rows']:,} rows of {file}{repeats}"
    if len(bad) > N_FILES:
        rest = sum(counts["quarantined"] for counts in list(bad.values())[N_FILES:])
        yield f"{rest:>9,}  of {len(bad) - N_FILES:,} more files: `--json` lists all"


def _row_text(row: dict[str, Any]) -> str:
    from sources.canonical.row_text import as_line

    return as_line(row)
