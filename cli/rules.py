"""`slate rules try`: what each rule of a placement changes in the slates of a test window, and what it costs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from cli.output import AsJson, print_result, table
from cli.parameters import load_settings
from contracts.home import find_home

COLUMNS = ("group", "rule", "slates", "changed", "places", "ndcg_at_10", "gain", "interval")
rules = typer.Typer(help="The rules of placements.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.add_typer(rules, name="rules")


@rules.command("try")
def try_rules(
    release: Annotated[
        str, typer.Argument(help="A release id, a version's number, `production`, `staging`, or a folder.")
    ] = "production",
    placement: Annotated[str, typer.Option(help="The placement whose rules are tried.")] = "home",
    *,
    as_json: AsJson = False,
) -> None:
    """Ask a release about its test window with and without each rule of a placement."""
    from contracts.progress import Progress
    from release.bundle.open_bundle import OpenBundle
    from release.evaluation.rule_effects import effects_in_window
    from release.evaluation.summary import Bootstrap
    from release.lookup import find_bundle

    settings = load_settings()
    bundle = OpenBundle(find_bundle(release, find_home(), settings.app))
    bootstrap = Bootstrap(settings.evaluate.n_bootstrap, settings.seed)
    effects = effects_in_window(
        bundle, placement, bootstrap, lambda cases: Progress(cases, desc="slate rules try", unit="person")
    )
    rows = [
        {
            "group": one.group,
            "rule": one.rule,
            "slates": one.n_slates,
            "changed": one.n_changed,
            "places": f"{one.share_replaced:.0%}",
            "ndcg_at_10": f"{one.ndcg:.3f}",
            "gain": f"{one.gain.mean:+.3f}",
            "interval": f"[{one.gain.low:+.3f}, {one.gain.high:+.3f}]",
        }
        for one in effects
    ]
    print_result([asdict(one) for one in effects], as_json, table(rows, COLUMNS))
