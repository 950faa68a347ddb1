"""`slate judge`: how good the models of params.yaml are on rolling windows, and whether other parameters are better."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import AsJson, aligned, print_result
from cli.parameters import load_settings
from contracts.errors import WrongInput

if TYPE_CHECKING:
    from contracts.settings.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Register the command of this module."""
    app.command()(judge)


def judge(
    tried: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Also fit with this parameter, and compare; may be repeated."),
    ] = None,
    last: Annotated[
        str | None,
        typer.Option("--last", metavar="WHY", help="Look at the last window, and log it in docs/last-window.md."),
    ] = None,
    n_seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, max=20, help="Fits of each window; rolling.n_seeds without it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fit and measure on every rolling window but the last: what parameters may be chosen on. It takes minutes."""
    from functools import partial

    from contracts.home import find_home
    from contracts.progress import Progress
    from contracts.tables import CanonicalTables
    from pipelines.memory_forecast import check_memory
    from pipelines.paths import VALID
    from pipelines.rolling.figures import figures_of, told_metrics
    from pipelines.rolling.judgement import AS_THEY_ARE, Comparer, Windows
    from pipelines.rolling.judgement import judge as judge_windows
    from pipelines.rolling.kept_fits import KeptFits

    if last is not None:
        _check_last(last, tried)
    check_memory("judge")
    settings = load_settings()
    variants = {AS_THEY_ARE: settings} | _with_changes(tried or [])
    tables = CanonicalTables.load(VALID, impressions=False)
    windows = (Windows.choosing if last is None else Windows.last)(tables, settings)
    seeds = [settings.seed + step for step in range(n_seeds or settings.rolling.n_seeds)]
    kept = KeptFits.of(find_home(), settings.rolling.cache_gib)
    measured = judge_windows(variants, tables, windows, seeds, partial(Progress, desc="judge", unit="fit"), kept)
    metrics = told_metrics(settings)
    name = next((name for name in variants if name != AS_THEY_ARE), None)
    comparer = Comparer(measured, settings.evaluate.n_bootstrap, settings.seed)
    figures = figures_of(comparer, windows.bounds(), seeds, metrics, name)
    if last is not None:
        _log(figures, settings.app, last)
    print_result(figures, as_json, _text(figures))


def _check_last(why: str, tried: list[str] | None) -> None:
    from pipelines.rolling.last_window import check_reason

    if tried:
        raise WrongInput(
            "`--last` with `--set` would choose parameters on the window that chooses nothing.",
            "Leave one of them out: parameters are chosen on the other windows.",
        )
    check_reason(why)


def _log(figures: dict[str, Any], application: str, why: str) -> None:
    from pathlib import Path

    from contracts.clock import WallClock
    from pipelines.rolling.last_window import log_read
    from pipelines.runs.repository import Repository

    log_read(figures, WallClock().now(), application, Repository(Path()).commit_of("HEAD"), why)


def _with_changes(tried: list[str]) -> dict[str, Settings]:
    """The parameters of the file with these changes, under a name that says them; none without changes."""
    if not tried:
        return {}
    from contracts.settings.params_path import PARAMS
    from pipelines.runs.overrides import overridden_settings

    changes = dict(_key_and_value(text) for text in tried)
    return {", ".join(tried): overridden_settings(PARAMS.read_bytes(), changes)}


def _key_and_value(text: str) -> tuple[str, Any]:
    import json

    key, given, value = text.partition("=")
    if not given or not key:
        raise WrongInput(f"`--set {text}` is no KEY=VALUE.", "Write it as `--set ranking.n_leaves=15`.")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value  # a word


def _text(figures: dict[str, Any]) -> str:
    from pipelines.rolling.figures import table_of, tried_table_of

    told = [
        f"window {number}, {one['start'][:10]} to {one['end'][:10]}: {one['people']} people with a history"
        for number, one in figures["windows"].items()
    ]
    told.append(f"seeds {', '.join(map(str, figures['seeds']))}; intervals of 95%, over people and over windows\n")
    told.append(aligned(table_of(figures), n_left=1))
    if figures["tried"] is not None:
        told += ["", f"{figures['tried']['name']} against params.yaml:", aligned(tried_table_of(figures), n_left=2)]
    return "\n".join(told)
