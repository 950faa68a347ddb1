"""`slate simulate`: a shop or a newspaper of any size, with its truth beside the data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from contracts.errors import WorkspaceError


def add_to(app: typer.Typer) -> None:
    """Register the command of this module."""
    app.command()(simulate)


def simulate(
    app: Annotated[str, typer.Option("--app", help="What is simulated: shop or articles.")],
    out: Annotated[Path, typer.Option("--out", help="An empty folder, or one that is not there yet.")],
    n_users: Annotated[int, typer.Option("--users", help="People who are there, or join, until the end.")] = 10_000,
    n_items: Annotated[int, typer.Option("--items", help="Items that are there, or appear, until the end.")] = 2_000,
    n_days: Annotated[int, typer.Option("--days", help="Days from 2024-01-01 on.")] = 30,
    seed: Annotated[int, typer.Option(help="The seed of the world; another seed makes another world.")] = 7,
    processes: Annotated[int, typer.Option(min=1, help="Processes; more are faster, and the result is the same.")] = 1,
) -> None:
    """Write what people did in a made-up world, day by day, and the truth behind it."""
    from contracts.whole_files import whole_folder
    from sources.simulator.world_files import write_world
    from sources.simulator.world_spec import WorldSpec, world_kind

    spec = WorldSpec(world_kind(app), n_users, n_items, n_days, seed)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise WorkspaceError(f"{out} is there already, and not empty.", "Name another folder, or remove it first.")
    with whole_folder(out.absolute()) as folder:
        rows = write_world(spec, folder, processes)
    print(f"{out}: {', '.join(f'{count:,} {name}' for name, count in rows.items())}")
