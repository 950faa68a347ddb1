"""The truth of a world, saved beside its data: what no log holds, and what estimators and tests are judged by.

truth/world.json                    the spec, the figures of its nature, topics, examination by position
truth/items.parquet                 item_id, vector (list, a share per topic), quality, appeal, priciness
truth/people/block-00000.parquet    user_id, thrift, taste_at_start, and the state at the end of the data:
                                    taste, shown, opened, n_opened, last_visit
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from contracts.errors import ArtefactError
from contracts.json_file import write_json
from contracts.tables import read_parquet, write_parquet
from sources.simulator.items import Items
from sources.simulator.people import People, PeopleState, n_blocks
from sources.simulator.reactions import examination
from sources.simulator.topics import Topics
from sources.simulator.words import topics_of
from sources.simulator.world import World
from sources.simulator.world_spec import DAY_PARTS, DEVICES, ENTRY_PAGES, SLATE_LENGTH, WorldSpec

FOLDER = "truth"


def save_world(folder: Path, spec: WorldSpec, topics: Topics, items: Items) -> None:
    """Write what is true of a world on all days."""
    truth = folder / FOLDER
    truth.mkdir(parents=True, exist_ok=True)
    content = {
        "spec": spec.to_json(),
        "nature": asdict(spec.nature),
        "topics": list(topics_of(spec.kind)),
        "topic_shares": topics.shares.tolist(),
        "by_device": dict(zip(DEVICES, topics.by_device.tolist(), strict=True)),
        "by_day_part": dict(zip(DAY_PARTS, topics.by_day_part.tolist(), strict=True)),
        "by_entry_page": dict(zip(ENTRY_PAGES, topics.by_entry_page.tolist(), strict=True)),
        "season_phase": topics.season_phase.tolist(),
        "examination": examination(spec.nature, SLATE_LENGTH).tolist(),
    }
    write_json(content, truth / "world.json", sort_keys=False)
    of_items = {
        "item_id": items.ids,
        "vector": _lists(items.vectors()),
        "quality": items.quality,
        "appeal": items.appeal,
        "priciness": items.priciness,
    }
    write_parquet(pl.DataFrame(of_items).sort("item_id"), truth / "items.parquet")


def save_people(folder: Path, people: People, state: PeopleState) -> None:
    """Write what is true of one block of people, and what has become of them."""
    of_people = {
        "user_id": people.ids,
        "thrift": people.thrift,
        "taste_at_start": _lists(people.taste),
        "taste": _lists(state.taste),
        "shown": _lists(state.shown),
        "opened": _lists(state.opened),
        "n_opened": state.n_opened,
        "last_visit": state.last_visit,
    }
    write_parquet(pl.DataFrame(of_people), folder / FOLDER / "people" / f"block-{people.block:05}.parquet")


def load_world(folder: Path) -> World:
    """The world that wrote this folder, on the morning after its last day; its truth can be asked, no day is left.

    Raises ArtefactError when the truth is missing or damaged.
    """
    path = folder / FOLDER / "world.json"
    try:
        spec = WorldSpec.from_json(json.loads(path.read_bytes())["spec"])
    except FileNotFoundError as error:
        raise ArtefactError(f"{path} is missing.", "Write the data with `slate simulate`, truth included.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ArtefactError(f"{path} is damaged: {error!r}.", "Write the data again with `slate simulate`.") from error
    states = [_load_state(folder, block) for block in range(n_blocks(spec))]
    return World(spec, states, today=spec.n_days)


def _load_state(folder: Path, block: int) -> PeopleState:
    rows = read_parquet(folder / FOLDER / "people" / f"block-{block:05}.parquet")
    return PeopleState(
        _matrix(rows["taste"]),
        _matrix(rows["shown"]),
        _matrix(rows["opened"]),
        rows["n_opened"].to_numpy().copy(),
        rows["last_visit"].to_numpy().copy(),
    )


def _lists(matrix: npt.NDArray[Any]) -> pl.Series:
    return pl.Series(matrix).arr.to_list()


def _matrix(column: pl.Series) -> npt.NDArray[Any]:
    return np.array(column.explode().to_numpy()).reshape(len(column), -1)
