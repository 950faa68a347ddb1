"""Worlds of any size as files, in memory that does not grow with them: a block of people lives its days, and is let go.

    interactions/day=2024-01-01/block-00000.parquet    canonical columns, and device, day_part, entry_page
    impressions/day=2024-01-01/block-00000.parquet     see `world.SimulatedDay`
    items/part-00000.parquet, users/block-00000.parquet
    truth/                                             see `truth`

Blocks know nothing of each other, so that the bytes are the same whatever the number of processes.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import timedelta
from functools import cache
from multiprocessing import get_context
from pathlib import Path

from contracts.progress import Progress
from contracts.tables import write_parquet
from sources.simulator.descriptions import item_tables
from sources.simulator.items import Items
from sources.simulator.people import People, n_blocks
from sources.simulator.policies import logging_policy
from sources.simulator.topics import Topics
from sources.simulator.truth import save_people, save_world
from sources.simulator.world import PopulationBlock
from sources.simulator.world_spec import START, WorldSpec


def write_world(spec: WorldSpec, folder: Path, processes: int = 1) -> dict[str, int]:
    """Write a world under the logging policy into a folder; returns the rows of each table.

    Shows a progress bar, with the time left, where stderr is a terminal.
    """
    topics, items = _catalogue(spec)
    rows = {"items": 0}
    for part, table in enumerate(item_tables(items)):
        write_parquet(table, folder / "items" / f"part-{part:05}.parquet")
        rows["items"] += table.height
    save_world(folder, spec, topics, items)
    total = spec.n_users * spec.n_days
    with Progress(total=total, desc=f"simulate {spec.kind}", unit="person-day", unit_scale=True) as progress:
        for written in _written(spec, folder, processes):
            for name, count in written.items():
                rows[name] = rows.get(name, 0) + count
            progress.update(written["users"] * spec.n_days)
    return rows


def _written(spec: WorldSpec, folder: Path, processes: int) -> Iterator[dict[str, int]]:
    """The rows of each block, in the order in which they are done."""
    blocks = range(n_blocks(spec))
    if processes == 1:
        yield from (_write_block(spec, folder, block) for block in blocks)
        return
    # Not forked: Polars' threads would not be in the copy, and it would wait for them.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(_write_block, spec, folder, block) for block in blocks]
        yield from (job.result() for job in as_completed(jobs))


def _write_block(spec: WorldSpec, folder: Path, block: int) -> dict[str, int]:
    topics, items = _catalogue(spec)
    one = PopulationBlock(People.draw(spec, topics, block), items, topics)
    write_parquet(one.people.table(), folder / "users" / _file(block))
    rows = {"users": len(one.people), "interactions": 0, "impressions": 0}
    for number in range(spec.n_days):
        day = one.pass_day(number, logging_policy)
        for name, table in (("interactions", day.interactions), ("impressions", day.impressions)):
            write_parquet(table, folder / name / _partition(number) / _file(block))
            rows[name] += table.height
    save_people(folder, one.people, one.state)
    return rows


@cache
def _catalogue(spec: WorldSpec) -> tuple[Topics, Items]:
    """Once per process."""
    topics = Topics.draw(spec)
    return topics, Items.draw(spec, topics)


def _partition(day: int) -> str:
    return f"day={START + timedelta(days=day):%Y-%m-%d}"


def _file(block: int) -> str:
    return f"block-{block:05}.parquet"
