"""`slate batch`: slates for everybody, into Parquet files."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import AsJson, print_result
from cli.parameters import load_settings
from cli.serving import FILTER, PLACEMENT, one_thread_each
from contracts.cores import n_cores
from contracts.counted import counted
from contracts.errors import WrongInput
from contracts.home import find_home

if TYPE_CHECKING:
    from serving.batch.parts import BatchHeader


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
    placement: Annotated[str | None, PLACEMENT] = None,
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
    header = write_slates(find_home(), load_settings(), out, people, k, n_processes, passing, engine.value, placement)
    people_asked = {"people": header.n_people, "guests": header.n_guests, "unknown": header.n_unknown}
    counts = {**people_asked, "rows": header.n_rows, "folder": str(out)}
    result = {**counts, "release_id": header.release_id, "generation_id": header.generation_id}
    text = (
        f"{header.n_rows:,} rows for {header.n_people:,} people{_among_them(header, people)} in {out}: "
        f"release {header.release_id}, generation {header.generation_id}, "
        f"as of {header.now.isoformat(timespec='seconds')}"
    )
    print_result(result, as_json, text)
    if people and header.n_people and (header.n_unknown or 0) > header.n_people / 2:
        print(
            f"slate batch: {header.n_unknown:,} of the {header.n_people:,} people of {people} are not known, and "
            "got what newcomers get. Is `user_id` the column of the ids that the release was built from?",
            file=sys.stderr,
        )


def _among_them(header: BatchHeader, people: Path | None) -> str:
    """Guests and unknown people, in words; nothing in a folder that was written before they were counted."""
    if header.n_guests is None:
        return ""
    unknown = "" if people is None else f", {header.n_unknown or 0:,} not known"
    return f" ({counted(header.n_guests, 'guest')} among them{unknown})"
