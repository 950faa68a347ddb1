"""`slate batch`: slates for everybody, into Parquet files."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli.output import AsJson, print_result
from cli.parameters import load_settings
from cli.serving import FILTER, one_thread_each
from contracts.cores import n_cores
from contracts.errors import WrongInput
from contracts.home import find_home


class Engine(StrEnum):
    """What `slate batch` answers with."""

    PROCESSES = "processes"
    SPARK = "spark"


def add_to(app: typer.Typer) -> None:
    """Register the command of this module."""
    app.command()(batch)


def batch(
    out: Annotated[Path, typer.Option(help="The folder to write; one that a stopped run left is gone on with.")],
    people: Annotated[
        Path | None, typer.Option(help="A Parquet or CSV file with a column `user_id`; without it, everybody.")
    ] = None,
    k: Annotated[int, typer.Option("--k", "-k", min=1, max=500, help="Items in each slate.")] = 20,
    processes: Annotated[
        int, typer.Option(min=0, max=64, help="That answer; 0: as many as there are cores. Each holds the release.")
    ] = 0,
    engine: Annotated[
        Engine, typer.Option(help="What answers: processes of this machine, or Spark, as its own configuration says.")
    ] = Engine.PROCESSES,
    wanted: Annotated[str | None, FILTER] = None,
    as_json: AsJson = False,
) -> None:
    """Write a slate for everybody, as the release in production answers now; goes on where it was stopped."""
    one_thread_each()
    from contracts.filters import filter_in
    from serving.batch.everybody import write_slates

    if engine is Engine.SPARK and processes:
        raise WrongInput(
            f"`--processes {processes}` says nothing to Spark, which has its own settings.",
            "Leave it out, or `--engine spark`; `spark.executor.instances` and `spark.executor.cores` are Spark's.",
        )
    n_processes = processes or n_cores()
    passing = None if wanted is None else filter_in(wanted)
    header = write_slates(find_home(), load_settings(), out, people, k, n_processes, passing, engine.value)
    counts = {"people": header.n_people, "rows": header.n_rows, "folder": str(out)}
    result = {**counts, "release_id": header.release_id, "generation_id": header.generation_id}
    text = (
        f"{header.n_rows:,} rows for {header.n_people:,} people in {out}: release {header.release_id}, generation "
        f"{header.generation_id}, as of {header.now.isoformat(timespec='seconds')}"
    )
    print_result(result, as_json, text)
