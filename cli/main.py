"""The `slate` command: parse, one call, print. Errors become one message here and nowhere else."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import typer

from cli.application import enter
from cli.commands import add_commands
from contracts.arithmetic import settle_arithmetic
from contracts.errors import SlateworkError, refused_by_system
from contracts.failure import exit_status, write_cause

settle_arithmetic()  # before a command imports numpy; also for the processes that it starts

INTERRUPTED = 130


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


def command_line(words: Sequence[str] = ()) -> typer.Typer:
    """The command line, as far as these words need it: `command_line()` has every command."""
    app = typer.Typer(
        name="slate",
        help="Build, promote and serve multi-stage recommenders.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(root)
    add_commands(app, words)
    return app


def main() -> None:
    """Run the command line; what is wrong becomes one message and the exit status 1, or 75 where waiting may help."""
    try:
        command_line(sys.argv[1:])()
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
