"""The `slate` command: parse, one call, print. Errors become one message here and nowhere else."""

from __future__ import annotations

import os
import sys

import typer

from cli import batch, checkout, demo, doctor, serving, workspace
from cli.application import enter
from cli.data import baseline, features, inspect, quarantine, simulate, traffic
from cli.releases import canary, difference, journal, parity, refresh, releases, shadow, storage
from cli.services import services
from contracts.errors import SlateworkError, refused_by_system
from contracts.failure import exit_status, write_cause

INTERRUPTED = 130

app = typer.Typer(
    name="slate",
    help="Build, promote and serve multi-stage recommenders.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for module in (
    demo,
    releases,
    refresh,
    canary,
    shadow,
    difference,
    journal,
    serving,
    batch,
    doctor,
    features,
    inspect,
    parity,
    quarantine,
    baseline,
    services,
    simulate,
    workspace,
    storage,
    traffic,
    checkout,
):
    module.add_to(app)

# What `slate --help` lists together, by what somebody wants to do.
PANELS = {
    "Begin": ("demo", "doctor", "setup", "clean"),
    "Bring data": ("inspect", "quarantine", "baseline", "simulate", "traffic"),
    "Release and promote": ("register", "releases", "promote", "rollback", "sync", "refresh", "journal"),
    "Compare before and after": ("diff", "shadow", "canary", "parity"),
    "Serve": ("serve", "recommend", "batch", "features", "collect"),
    "Run services": ("up", "down", "status", "workspace"),
}


def _put_into_panels() -> None:
    panel_of = {name: panel for panel, names in PANELS.items() for name in names}
    for command in app.registered_commands:
        command.rich_help_panel = panel_of.get(command.name or str(getattr(command.callback, "__name__", "")))
    for group in app.registered_groups:
        named = (group.name, group.typer_instance.info.name if group.typer_instance else None)
        group.rich_help_panel = next((panel_of[name] for name in named if isinstance(name, str)), None)


_put_into_panels()


@app.callback()
def root(
    context: typer.Context,
    *,
    application: str = typer.Option(
        "",
        "--app",
        envvar="SLATE_APP",
        help="Work on this application, named by its preset; without it, on the checkout's own.",
    ),
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
) -> None:
    """Build, promote and serve multi-stage recommenders."""
    if debug:
        os.environ["SLATE_DEBUG"] = "1"
    if application:
        enter(application, context.invoked_subcommand)


def main() -> None:
    """Run the command line; what is wrong becomes one message and the exit status 1, or 75 where waiting may help."""
    try:
        app()
    except (SlateworkError, OSError) as error:
        if os.environ.get("SLATE_DEBUG"):
            raise
        ours = refused_by_system(error) if isinstance(error, OSError) else error
        print(f"slate: {type(ours).__name__}: {ours}", file=sys.stderr)
        write_cause(f"{type(ours).__name__}: {ours}")
        sys.exit(exit_status(ours))
    except SystemExit as end:
        if end.code == INTERRUPTED:  # what typer makes of Ctrl-C, without a word
            print("slate: interrupted. Run the same command again to go on.", file=sys.stderr)
        raise


if __name__ == "__main__":
    main()
