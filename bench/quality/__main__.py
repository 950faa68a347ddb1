"""How good are our slates beside other people's recommenders, on one split, in one run?

    python -m bench.quality [--movielens PATH] [--seeds N] [--peers NAME ...] [--last WHY]
    python -m bench.quality --literature FOLDER [--tuned] [--seeds N]

What is of the one form is refused with the other.

Data: MovieLens 100K, or a folder or zip as GroupLens publishes it. Everybody is asked about the same people with a
history, over the full catalogue, without what they have seen, on every rolling window but the last, and fitted on all
that lies before the window. Peers run in environments of their own (build/bench-peers) and in processes of their own.
They are tuned on the window before. Our parameters are those of params.yaml, which were chosen on these very windows
(docs/judging.md): on them our lead is a little too large. `--last WHY` measures the last window instead, on which
nothing is chosen, and logs that in docs/last-window.md.

--literature: a folder in one of the forms of published tables (bench/quality/literature), our systems on it as
params.yaml has them. --tuned: with values of a small grid instead, chosen before what is reported is asked.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from bench.quality.comparison import measure
from bench.quality.figures import COLUMNS, figures_of_comparison, metrics_of, table_rows
from bench.quality.literature.report import measure_literature
from bench.quality.peer_registry import PEERS
from bench.quality.windows import every_window
from bench.quality.workspace import CHECKOUT, SHIPPED, Workspace, prepare
from bench.report import print_figures, print_table
from bench.yardstick import yardstick_ms
from contracts.clock import WallClock
from contracts.errors import SlateworkError
from pipelines.rolling.last_window import LOG, check_reason, log_read
from pipelines.runs.repository import Repository

BUILD = CHECKOUT / "build"


def main() -> None:
    """Measure, and print a table and the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--movielens", type=Path, metavar="PATH")
    parser.add_argument("--literature", type=Path, metavar="FOLDER")
    parser.add_argument("--tuned", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--peers", nargs="*", choices=[peer.name for peer in PEERS])
    parser.add_argument("--last", metavar="WHY")
    asked = parser.parse_args()
    if (refusal := _refusal(asked)) is not None:
        parser.error(refusal)
    try:
        if asked.literature is not None:
            measure_literature(asked.literature, asked.seeds, is_tuned=asked.tuned)
        else:
            _compare(asked)
    except SlateworkError as error:
        sys.exit(f"{type(error).__name__}: {error}")


def _refusal(asked: argparse.Namespace) -> str | None:
    """What is asked that would change nothing, and what to type; None where there is nothing of the kind."""
    if asked.literature is None:
        if asked.tuned:
            return "--tuned is of published tables alone: type --literature FOLDER --tuned, or leave --tuned out"
        return None
    given = {"--movielens": asked.movielens, "--peers": asked.peers, "--last": asked.last}
    idle = [name for name, value in given.items() if value is not None]
    if idle:
        told = "--literature FOLDER measures our systems on that folder alone"
        return f"{told}: leave {' and '.join(idle)} out, or leave --literature out"
    return None


def _compare(asked: argparse.Namespace) -> None:
    if asked.last is not None:
        check_reason(asked.last)
    y_ms, peers = yardstick_ms(), [peer for peer in PEERS if asked.peers is None or peer.name in asked.peers]
    workspace = prepare(BUILD / "bench-quality", asked.movielens)
    settings = workspace.settings
    every = every_window(workspace.tables(), settings)
    windows = {number: split for number, split in every.items() if (number == max(every)) == (asked.last is not None)}
    seeds = [settings.seed + step for step in range(asked.seeds)]
    measured = measure(workspace, windows, seeds, peers, BUILD / "bench-peers")
    bounds = {number: (split.test_start, split.as_of) for number, split in windows.items()}
    figures = figures_of_comparison(measured, settings, bounds, seeds, peers)
    if asked.last is not None:
        _log(figures, workspace, asked.last)
    _print(figures, metrics_of(settings))
    print_figures("quality", {**figures, "yardstick_ms": round(y_ms, 2)}, data=workspace.name, seed=settings.seed)


def _log(figures: dict[str, Any], workspace: Workspace, why: str) -> None:
    application = workspace.settings.app if workspace.name == SHIPPED else workspace.name
    log_read(figures, WallClock().now(), application, Repository(CHECKOUT).commit_of("HEAD"), why, CHECKOUT / LOG)


def _print(figures: dict[str, Any], metrics: tuple[str, ...]) -> None:
    for number, one in figures["windows"].items():
        print(f"window {number}, {one['start'][:10]} to {one['end'][:10]}: {one['people']} people with a history")
    print(f"seeds {', '.join(map(str, figures['seeds']))}; intervals of 95%, over people and over windows\n")
    print_table(COLUMNS, table_rows(figures, metrics))
    for name, one in figures["peers"].items():
        if "tuning" in one:
            print(f"{name}: of {one['tuning']['tried']} were chosen {one['tuning']['chosen']}")
    for name, why in figures["not_measured"].items():
        print(f"NOT MEASURED, and so not beaten: {name}, {why}")
    if figures["best_peer"] is not None:
        print(f"ahead of {figures['best_peer']}, the best peer measured, by {figures['lead']:+.3f}")


if __name__ == "__main__":
    main()
