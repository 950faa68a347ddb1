"""How much memory a stage will take, told before it begins: hours later the system would end it without a word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from contracts.errors import WorkspaceError
from contracts.settings.group import Group
from contracts.settings.loading import load_groups
from contracts.settings.params_path import PARAMS
from contracts.settings.ranking import RankingSettings
from contracts.settings.resources import ResourceSettings
from pipelines.paths import VALID

GIB: Final = 2**30
ENGINE_SHARE: Final = 0.25
EVENTS_A_QUERY: Final = 20  # at least: twelve snapshots do not ask everybody
# Of a container, which sees the whole machine's memory and is ended at this.
CGROUP_LIMITS: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


class Limits(Group):
    """What is read of params.yaml; a file of before `resources` may leave that out."""

    resources: ResourceSettings = ResourceSettings()
    ranking: RankingSettings | None = None


class Fitted(Group):
    """The same, of the stages that fit generators, which check it: the others do not depend on what it may hold."""

    candidates: dict[str, Any] | None = None


@dataclass(frozen=True)
class DataSize:
    """Rows of the valid tables, and people asked to train the ranker, at most."""

    n_interactions: int
    n_items: int
    n_queries: int = 0


@dataclass(frozen=True)
class Need:
    """What a stage holds at most: base_gib whatever the data, the others for each of what they are named by."""

    base_gib: float
    bytes_an_interaction: float
    bytes_an_item: float
    bytes_a_query: float = 0

    def gib(self, size: DataSize) -> float:
        tables = self.bytes_an_interaction * size.n_interactions + self.bytes_an_item * size.n_items
        return self.base_gib + (tables + self.bytes_a_query * size.n_queries) / GIB


# Stages that fit generators. EASE holds a table of all pairs of items, and the counts and places it is made of.
FIT_GENERATORS: Final = ("candidates", "ranking", "judge")
EASE_BYTES_A_PAIR: Final = 24
# With n_regressors, the pairs of items that somebody touched both of: a number and a place, twice while they are made.
EASE_BYTES_A_TOUCHED_PAIR: Final = 24
# A deep model is trained by a process beside the stage: its library, and for each number of an item's vector four
# (weight, gradient, AdamW's two), held twice while a checkpoint is written; the stage then holds the vectors.
DEEP_BASE_GIB: Final = {"torch": 0.5, "tfrs": 0.8}  # by engine
DEEP_BYTES_A_NUMBER: Final = 4 * 4 * 2 + 8
DEEP_BYTES_HANDED_OVER: Final = 4 * 4  # of a number that is worked out at the end: in training and stage, twice each
DEEP_BYTES_A_SCORE: Final = 16  # of a batch: what is asked against each negative, and on the way back
TWO_TOWER_BYTES_READ: Final = 250  # of a batch, for each item of a history: ids, weights, categories and facts
TFRS_BYTES_A_NUMBER_READ: Final = 16  # TensorFlow holds the vectors of a batch's items beside each other
# What params.yaml need not say. Written again: stages that fit no generators do not depend on what it may hold.
DEEP_DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "sequence": {"dim": 32, "length": 100, "batch_size": 16, "n_negatives": 512},
    "two_tower": {"engine": "torch", "dim": 32, "width": 64, "length": 100, "batch_size": 512},
}
# Of each item beyond what params.yaml ships, for which NEEDS stand: what stages that fit generators hold of it.
SHIPPED_FACTORS, SHIPPED_DIM, SHIPPED_NEIGHBOURS = 32, 12, 100
SHIPPED_ITEM_TO_ITEM = 3
BYTES_A_NUMBER: Final = 4 * 3  # of a vector: read, worked on and kept
BYTES_A_NEIGHBOUR: Final = 8 * 2  # a place and a weight, twice while they are put in order
# Upper ends of what `python -m bench.scale` measures. Stages that are not named stream: of 25 million events `validate`
# takes 2.6 GiB.
NEEDS: Final[Mapping[str, Need]] = {
    "features": Need(0.8, 250, 3_000),  # a quarter of it the engine's, which goes on from disk past that
    "candidates": Need(0.6, 400, 4_000),
    "index": Need(0.4, 300, 4_000),
    "ranking": Need(0.5, 400, 6_500, 400_000),
    "evaluate": Need(0.5, 250, 10_000),
    "release": Need(0.5, 200, 10_000),
    # No stage: all snapshots of `features` at once, and what `ranking` holds.
    "judge": Need(1.5, 870, 19_500, 400_000),
}
ADVICE: Final[Mapping[str, str]] = {
    "features": "have the values computed elsewhere (`features.engine: spark`), ",
    "ranking": "lower ranking.max_queries, ",
    "judge": "lower ranking.max_queries, ",
}


def check_memory(stage: str) -> None:
    """Raise WorkspaceError, with what is needed and what there is, where a stage would not fit into the memory."""
    if stage not in NEEDS or not _is_there(VALID):
        return  # what a stage itself misses, it tells itself
    limits = _limits()
    size = _data_size(VALID, limits)
    of_pairs, deep, budget = _ease_gib(stage, size), _deep_gib(stage, size), limits.resources.memory_gib
    # One deep model is trained after the other.
    needed = NEEDS[stage].gib(size) + of_pairs + _wider_gib(stage, size) + max(deep.values(), default=0)
    available = _available_gib(limits)
    if needed <= available:
        return
    whose = "the machine has" if budget is None else "resources.memory_gib is"
    smaller = _smaller_ease() if of_pairs else ""
    if deep:
        smaller += _smaller_model(max(deep, key=deep.__getitem__))
    raise WorkspaceError(
        f"{stage} needs about {needed:.1f} GiB for {size.n_interactions:,} interactions of {size.n_items:,} items; "
        f"{whose} {available:.1f}.",
        f"Take a machine with more memory, {smaller}{ADVICE.get(stage, '')}or bring less: a later part of the "
        "interactions. Where you know that it fits, say so: `resources.memory_gib` in params.yaml.",
    )


def engine_gib() -> float:
    """What the engine of `features` may take beside the tables; past it, it goes on from disk."""
    return _available_gib(_limits()) * ENGINE_SHARE


def _ease_gib(stage: str, size: DataSize) -> float:
    """What EASE takes of a stage, where it is fitted: by the pairs of items, all or those that are touched together."""
    if stage not in FIT_GENERATORS or not PARAMS.is_file():
        return 0
    ease = _given_candidates().get("ease")
    if ease is None:
        return 0
    if ease.get("n_regressors") is None:
        return EASE_BYTES_A_PAIR * size.n_items**2 / GIB
    return EASE_BYTES_A_TOUCHED_PAIR * min(size.n_items**2, _touched_pairs(VALID)) / GIB


def _wider_gib(stage: str, size: DataSize) -> float:
    """What wider vectors, more neighbours and further item to item take than those that are shipped."""
    if stage not in FIT_GENERATORS or not PARAMS.is_file():
        return 0
    given = _given_candidates()
    numbers = given.get("als", {}).get("factors", 0) - SHIPPED_FACTORS
    numbers = max(numbers, 0) + max(given.get("content_vectors", {}).get("dim", 0) - SHIPPED_DIM, 0)
    n_neighbours = given.get("covisitation", {}).get("n_neighbours", SHIPPED_NEIGHBOURS)
    neighbours = SHIPPED_ITEM_TO_ITEM * max(n_neighbours - SHIPPED_NEIGHBOURS, 0)
    neighbours += n_neighbours * len(given.get("item_to_item") or {})
    for name in ("ease", "graph_filter", "similar_texts"):
        if (of_one := given.get(name)) is not None:
            neighbours += of_one.get("n_neighbours", SHIPPED_NEIGHBOURS)
    return float(BYTES_A_NUMBER * numbers + BYTES_A_NEIGHBOUR * neighbours) * size.n_items / GIB


def _given_candidates() -> dict[str, Any]:
    return load_groups(Fitted).candidates or {}


def _smaller_ease() -> str:
    """n_regressors is no way out where it is set: what is forecast with it does not hang on how many."""
    is_of_all_pairs = _given_candidates()["ease"].get("n_regressors") is None
    among_few = "candidates.ease.n_regressors (100, say), or " if is_of_all_pairs else ""
    return f"set {among_few}candidates.ease to null (candidates.graph_filter takes far less), "


def _smaller_model(name: str) -> str:
    """Every number that its forecast is made of."""
    *numbers, last = (f".{key}" for key, value in DEEP_DEFAULTS[name].items() if isinstance(value, int))
    return f"lower candidates.{name}{', '.join(numbers)} or {last}, "


def _touched_pairs(folder: Path) -> int:
    """The pairs of events of one person, at most as many as pairs of items are touched by anybody."""
    import polars as pl  # noqa: PLC0415 - see _data_size

    lengths = pl.scan_parquet(folder / "interactions.parquet").group_by("user_id").len().select("len").collect()["len"]
    return int((lengths.cast(pl.Int64) ** 2).sum())


def _deep_gib(stage: str, size: DataSize) -> dict[str, float]:
    """By the name of each deep generator that is fitted, what training it takes beside the stage."""
    if stage not in FIT_GENERATORS or not PARAMS.is_file():
        return {}
    given = _given_candidates()
    bytes_of = {"sequence": _sequence_bytes, "two_tower": _two_tower_bytes}
    trained = {
        name: {**defaults, **given[name]} for name, defaults in DEEP_DEFAULTS.items() if given.get(name) is not None
    }
    return {
        name: DEEP_BASE_GIB[settings.get("engine", "torch")] + bytes_of[name](settings, size) / GIB
        for name, settings in trained.items()
    }


def _sequence_bytes(settings: Mapping[str, Any], size: DataSize) -> int:
    n_negatives = min(int(settings["n_negatives"]), size.n_items)
    scores = int(settings["batch_size"]) * int(settings["length"]) * n_negatives
    return DEEP_BYTES_A_NUMBER * (int(settings["dim"]) + 1) * size.n_items + DEEP_BYTES_A_SCORE * scores


def _two_tower_bytes(settings: Mapping[str, Any], size: DataSize) -> int:
    dim, width, batch_size = (int(settings[name]) for name in ("dim", "width", "batch_size"))
    bytes_read = TWO_TOWER_BYTES_READ + (TFRS_BYTES_A_NUMBER_READ * dim if settings["engine"] == "tfrs" else 0)
    of_batch = DEEP_BYTES_A_SCORE * batch_size**2 + bytes_read * batch_size * int(settings["length"])
    # Two tables of vectors, a number for each item, and what the hidden layer is handed of each.
    return (DEEP_BYTES_A_NUMBER * (2 * dim + 1) + DEEP_BYTES_HANDED_OVER * width) * size.n_items + of_batch


def _limits() -> Limits:
    """Those of params.yaml; a folder without one, of which a stage would be told before, has the machine's."""
    return load_groups(Limits) if PARAMS.is_file() else Limits()


def _available_gib(limits: Limits) -> float:
    return machine_gib() if limits.resources.memory_gib is None else limits.resources.memory_gib


def machine_gib() -> float:
    """The memory that this process may come to hold: the machine's, or that of the container it runs in."""
    limits = [path.read_text(encoding="ascii").strip() for path in CGROUP_LIMITS if path.is_file()]
    return min([psutil.virtual_memory().total, *(int(limit) for limit in limits if limit.isdigit())]) / GIB


def _is_there(folder: Path) -> bool:
    return all((folder / f"{name}.parquet").is_file() for name in ("interactions", "items"))


def _data_size(folder: Path, limits: Limits) -> DataSize:
    """Read off the ends of the files, and no file as a whole."""
    import polars as pl  # noqa: PLC0415 - a stage that has nothing to do, and is forecast nothing, is done in less

    counts = [pl.scan_parquet(folder / f"{name}.parquet").select(pl.len()) for name in ("interactions", "items")]
    n_interactions, n_items = (int(count.collect().item()) for count in counts)
    n_queries = limits.ranking.max_queries if limits.ranking else 0
    return DataSize(n_interactions, n_items, min(n_queries, n_interactions // EVENTS_A_QUERY))
