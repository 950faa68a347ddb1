"""`slate tune`: better parameters, searched on the windows that may choose, and chosen by the rule for defaults."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import AsJson, aligned, print_result
from cli.parameters import load_settings

if TYPE_CHECKING:
    from pipelines.tuning.session import Tuned


def add_to(app: typer.Typer) -> None:
    """Register the command of this module."""
    app.command()(tune)


def tune(
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="KEY", help="This parameter, or all of this group; may be repeated."),
    ] = None,
    minutes: Annotated[
        float, typer.Option("--minutes", min=0, help="For search and judgement together; 0 judges what was found.")
    ] = 60.0,
    n_seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, max=20, help="Of the judgement; rolling.n_seeds without it.")
    ] = None,
    *,
    write: Annotated[bool, typer.Option("--write", help="Write the winner into params.yaml, comments kept.")] = False,
    as_json: AsJson = False,
) -> None:
    """Search better parameters on every rolling window but the last; the same command goes on with the same study.

    Without a winner nothing is written, and the status is 0: that nothing better was found is a result.
    """
    import time

    from contracts.home import find_home
    from contracts.progress import working
    from contracts.settings.params_path import PARAMS
    from contracts.tables import CanonicalTables
    from pipelines.memory_forecast import check_memory
    from pipelines.paths import VALID
    from pipelines.rolling.kept_fits import KeptFits
    from pipelines.runs.overrides import overridden, write_overrides
    from pipelines.tuning.session import TuneRequest, TuneSession
    from pipelines.tuning.winner import params_diff

    check_memory("judge")
    settings, params, home = load_settings(), PARAMS.read_bytes(), find_home()
    kept = KeptFits.of(home, settings.rolling.cache_gib)
    tables = CanonicalTables.load(VALID, impressions=False)
    with working("slate tune") as begin:
        session = TuneSession(settings, params, tables, kept, home, time.monotonic, _tell, begin)
        tuned = session.run(TuneRequest(minutes, tuple(only or ()), n_seeds or settings.rolling.n_seeds))
    if write and tuned.winner:
        write_overrides(PARAMS, tuned.changes)
    diff = params_diff(params, overridden(params, tuned.changes)) if tuned.winner else ""
    print_result(_json(tuned, diff), as_json, "\n".join(_lines(tuned, diff, written=write and bool(tuned.winner))))


def _tell(line: str) -> None:
    print(f"slate tune: {line}", file=sys.stderr, flush=True)


def _json(tuned: Tuned, diff: str) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(tuned), "diff": diff}


def _lines(tuned: Tuned, diff: str, *, written: bool) -> Iterator[str]:
    whole, pruned, failed = (tuned.count(state) for state in ("COMPLETE", "PRUNED", "FAIL"))
    yield (
        f"study {tuned.study}: {len(tuned.tried)} trials ({whole} whole, {pruned} given up early, {failed} failed or "
        f"interrupted) of {len(tuned.keys)} parameters, on windows {', '.join(map(str, tuned.windows))}"
    )
    yield f"params.yaml: {tuned.metric.replace('_at_', '@')} {tuned.baseline:.4f} with seed {tuned.seeds[0]}"
    if tuned.mlflow:
        yield f"MLflow: {tuned.mlflow}"
    if tuned.finalists:
        yield f"\njudged with seeds {', '.join(map(str, tuned.seeds))}, gains over params.yaml of people with a history"
        yield aligned(_finalist_lines(tuned), indent="  ")
    if tuned.winner is None:
        why = "none of these passes the rule" if tuned.finalists else "no whole trial stands above params.yaml"
        yield f"\nno winner: {why}, and params.yaml stays as it is"
        return
    yield (
        f"\nwinner: {tuned.winner}. It was picked among {len(tuned.tried)} sets on these very windows: its gain is "
        "told somewhat too high."
    )
    yield diff
    yield "written into params.yaml" if written else "`slate tune --minutes 0 --write` with the same `--only` writes it"


def _finalist_lines(tuned: Tuned) -> list[list[str]]:
    lines = [["", "gain", "over people", "over windows", "ahead in", ""]]
    return lines + [
        [one["name"], *_gain(one["gain"], tuned), "; ".join(one["objections"]) or "passes the rule"]
        for one in tuned.finalists
    ]


def _gain(gains: Mapping[str, Any], tuned: Tuned) -> list[str]:
    from release.evaluation.cases import WARM

    one = gains[WARM][tuned.metric]
    ends = [f"[{low:+.4f}, {high:+.4f}]" for low, high in (one["over_people"], one["over_windows"])]
    return [f"{one['mean']:+.4f}", *ends, f"{one['n_ahead']} of {len(tuned.windows)}"]
