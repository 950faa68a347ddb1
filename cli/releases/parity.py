"""`slate parity`: the values that answers stood on, against the same computed again offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import AsJson, print_result, table
from cli.parameters import load_settings
from contracts.home import find_home
from pipelines.paths import VALID

if TYPE_CHECKING:
    from release.parity.parity_result import LoggedParity


def add_to(app: typer.Typer) -> None:
    """Register the command of this module."""
    app.command()(parity)


def parity(
    *,
    requests: Annotated[int, typer.Option(help="Answers checked, the latest.", min=1, max=1_000_000)] = 1000,
    tables: Annotated[Path, typer.Option(help="The canonical tables to compute from.")] = VALID,
    tolerance: Annotated[
        float, typer.Option(help="Largest relative difference that counts as equal; 0: the same bits.", min=0)
    ] = 0.0,
    max_share: Annotated[
        float | None,
        typer.Option(help="Share of values that may be at fault; by default the limit of the gate.", min=0, max=1),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compute the feature values that answers used again, and show which differ; exits 1 when too many do.

    The result of each release is kept under SLATE_HOME for the gate `logged_parity`, unless a tolerance was named.
    """
    from contracts.progress import working
    from feature_store.online.connection import connect
    from feature_store.server.embedded_redis import online_store
    from release.parity.parity_result import save_parity
    from release.parity.parity_run import check_values_log

    home, settings = find_home(), load_settings()
    what = "slate parity: the values that answers stood on are computed again"
    with working(what), online_store(home) as url, connect(url) as client:
        results = check_values_log(client, settings.app, home, tables, requests, tolerance=tolerance)
    if not tolerance:  # the gate knows none, and would take what was overlooked for equal
        for result in results:
            save_parity(home.parity / settings.app, result)
    print_result([result.to_json() for result in results], as_json, "\n\n".join(map(_parity_text, results)))
    most = settings.promotion.max_parity_share if max_share is None else max_share
    if any(result.fault_share > most for result in results):
        raise typer.Exit(1)


def _parity_text(parity: LoggedParity) -> str:
    counted = f"{parity.n_requests} answers, {parity.n_values} values computed again, {parity.n_faults} at fault"
    lines = [f"release {parity.release_id}: {counted}"]
    if parity.other_tables:
        lines.append(f"note: {', '.join(parity.other_tables)} are not the tables that the release was built from")
    worst = parity.worst()
    rows = [
        {
            "feature": feature.name,
            "values": feature.n_values,
            "mismatch": feature.mismatch,
            "missing": feature.missing,
            "extra": feature.extra,
        }
        for feature in worst
    ]
    if rows:
        lines += ["", table(rows, ("feature", "values", "mismatch", "missing", "extra")), ""]
        lines += [f"{feature.name}: {feature.example}" for feature in worst]
    return "\n".join(lines)
