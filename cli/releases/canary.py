"""`slate canary`: a share of people gets a release candidate; start it, change the share, read it, end it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import AsJson, aligned, print_json, print_result
from cli.parameters import load_settings
from cli.releases.requester import whoever_types
from contracts.home import find_home

if TYPE_CHECKING:
    from release.canary.canary_run import CanaryRun

Reason = Annotated[str, typer.Option(help="Why, for the journal.")]

commands = typer.Typer(name="canary", help="Give a share of people a release candidate. Without a command: its report.")


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.add_typer(commands)


@commands.callback(invoke_without_command=True)
def status(context: typer.Context, *, as_json: AsJson = False) -> None:
    """How the canary stands, read from the event log: a table, and a page with a plot."""
    if context.invoked_subcommand is not None:
        return
    from contracts.clock import WallClock
    from feature_store.online.connection import connect
    from feature_store.server.embedded_redis import online_store
    from release.canary.page import write_page
    from release.canary.trail import read_report
    from release.promotion.canary_control import CanaryControl

    home, settings = find_home(), load_settings()
    moment = WallClock().now()
    run = CanaryControl.open(settings, home).run()
    if run is None:
        print_result(None, as_json, "no canary ran yet: `slate canary start VERSION --share 0.05`")
        return
    with online_store(home) as url, connect(url) as client:
        report, trail = read_report(client, settings.app, run, settings.promotion.canary, moment)
    path = write_page(home, report, trail)
    if as_json:
        print_json({**report.to_json(), "page": str(path)})
        return
    from release.canary.tables import arms_table, checks_table, headline, left_out_table, sample_ratio_table

    print(f"canary {run.canary.release_id} (version {run.version}) beside {run.beside}\n{headline(report)}\n")
    for table in (arms_table(report), checks_table(report), sample_ratio_table(report), left_out_table(report)):
        if table.rows:
            print(f"{aligned([table.columns, *table.rows])}\n")
    print(f"{report.n_in_both} people were in both arms, one after the other; the page: {path}")


@commands.command()
def start(
    version: Annotated[int, typer.Argument(help="The version's number: see `slate releases`.")],
    *,
    share: Annotated[float, typer.Option(help="Share of people who get it, between 0 and 1.")],
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Give a share of people a version that passes the gates of Staging."""
    from contracts.progress import working
    from release.promotion.canary_control import refused_before, start_canary
    from release.promotion.promotion import Promoter

    promoter = Promoter.open(load_settings(), find_home())
    with working(f"slate canary start {version}: its values are published, its gates are asked"):
        run = start_canary(promoter, version, share, requester=whoever_types(), reason=reason)
    warning = refused_before(promoter.registry.version(version))
    if warning:
        print(warning, file=sys.stderr)
    _print_run(run, as_json)


@commands.command(name="share")
def change_share(
    share: Annotated[float, typer.Argument(help="Share of people who get it from now on, between 0 and 1.")],
    *,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Change the share of people; servers follow within a moment."""
    from release.promotion.canary_control import CanaryControl

    control = CanaryControl.open(load_settings(), find_home())
    _print_run(control.change_share(share, requester=whoever_types(), reason=reason), as_json)


@commands.command()
def stop(*, reason: Reason = "", as_json: AsJson = False) -> None:
    """Give everybody the release in production again, at once; works while MLflow is away."""
    from release.promotion.canary_control import CanaryControl

    _print_run(CanaryControl.open(load_settings(), find_home()).stop(requester=whoever_types(), reason=reason), as_json)


def _print_run(run: CanaryRun, as_json: bool) -> None:
    canary = run.canary
    if as_json:
        fields = {**canary.__dict__, "version": run.version, "beside": run.beside, "ended": run.ended}
        print_json(fields)
    elif run.ended:
        print(f"everybody gets {run.beside} again; the canary {canary.release_id} ended: {run.ended}")
    else:
        print(f"{canary.share:.4g} of the people get {canary.release_id} (version {run.version}), else {run.beside}")
