"""`slate traffic`: what servers showed and what people did with it, collected for training."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import AsJson, print_result, table
from cli.parameters import load_settings
from contracts.counted import counted
from contracts.errors import StoreError
from contracts.home import Home, find_home

if TYPE_CHECKING:
    from contracts.settings.settings import Settings
    from pipelines.traffic_collection import TrafficCollection

commands = typer.Typer(
    name="traffic",
    help="Served traffic for training: what servers showed, and what people did with it.",
    no_args_is_help=True,
)


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.add_typer(commands)


@commands.command()
def collect(
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=1, help="Seconds between two looks of --watch.")] = 60,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Read all that Redis still holds; what is here already is not doubled.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Copy served impressions and events from Redis into one file a day, and into this workspace, for `dvc repro`.

    Nothing is removed; `slate collect` removes old feature values.
    """
    home, settings = find_home(), load_settings()
    while True:
        try:
            collection = _collect(home, settings, from_start)
            print_result(collection.to_json(), as_json, _collection_text(collection))
            collection.raise_losses()
        except StoreError as error:
            if not watch:
                raise
            print(f"slate: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        if not watch:
            return
        from_start = False
        time.sleep(every)


@commands.command()
def status(*, as_json: AsJson = False) -> None:
    """Show the days that were collected, and how many records were lost."""
    from pipelines.traffic_collection import PROGRESS, CollectionProgress, collected_days, traffic_store

    home, app = find_home(), load_settings().app
    progress = CollectionProgress.load(traffic_store(home, app) / PROGRESS)
    days = [{"day": one.day, **one.rows} for one in collected_days(home, app)]
    lost = {"lost": progress.n_lost, "other_streams": progress.n_other}
    lines = [table(days, list(days[0])) if days else "nothing collected yet"]
    if progress.n_lost:
        lines.append(f"{progress.n_lost:,} records were cut off before they were collected")
    if progress.n_other:
        lines.append(f"Redis was emptied or restored {counted(progress.n_other, 'time')} between two collections")
    print_result({"days": days, **lost}, as_json, "\n".join(lines))


def _collect(home: Home, settings: Settings, from_start: bool) -> TrafficCollection:
    from feature_store.online.connection import connect
    from feature_store.server.embedded_redis import online_store
    from pipelines.traffic_collection import collect_traffic, link_traffic

    with online_store(home) as url, connect(url) as client:
        collection = collect_traffic(client, home, settings.app, from_start=from_start)
    link_traffic(home, settings.app, Path.cwd() / settings.ingest.traffic)
    return collection


def _collection_text(collection: TrafficCollection) -> str:
    if not collection.rows:
        return f"nothing new in {collection.n_read:,} records"
    new = ", ".join(f"{count:,} {name}" for name, count in sorted(collection.rows.items()))
    days = sorted(collection.days)
    span = days[0] if len(days) == 1 else f"{len(days)} days, {days[0]} to {days[-1]}"
    return f"{new} of {span}; `dvc repro` trains on them"
