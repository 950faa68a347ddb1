"""How long does it take to read the rows of 500 entities? Against a bare MGET of the same bytes, and against Feast.

    python -m bench.online_read [--no-feast] [--rounds N]    500 of 100,000 entities of 40 float32 features each
    python -m bench.online_read --cluster                    what one slot for an application costs in a Redis Cluster

Items are read as a slate's candidates are: `RedisFeatureReader.read_items`, from the command to a matrix with what is
missing filled in and TTLs kept. The MGET reads the same packed rows under a key each and leaves them bytes. They take
turns, on other entities each time, over one connection to a Redis of the benchmark's own. Limit: twice the MGET.

Feast (in an environment of its own, see bench.publish) reads as many from the same kind of Redis by
`get_online_features`, in its process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import redis

from bench.publish import BATCH_SIZE, feast_python, one_server
from bench.redis_cluster import three_nodes
from bench.report import print_figures, print_table
from contracts.features import Entity, FeatureSchema, FeatureSpec
from contracts.id_map import IdMap
from contracts.ids import ItemId
from feature_store.online.connection import connect
from feature_store.online.keys import histories_key, items_key, users_key
from feature_store.publishing.publishing import publish
from feature_store.readers.online_reader import RedisFeatureReader
from feature_store.values.values import HISTORY_SCHEMA, FeatureSchemas, FeatureValues

APP = "bench"
SEED = 7
N_ENTITIES = 100_000
N_READ = 500
N_FEATURES = 40
N_WARM_UP = 20
AS_OF = datetime(2026, 1, 1, tzinfo=UTC)
SCHEMAS = FeatureSchemas(
    FeatureSchema(Entity.USER, (FeatureSpec("user_feature", 0.0, 30.0),)),
    FeatureSchema(
        Entity.ITEM,
        tuple(FeatureSpec(f"item_feature_{number}", 0.0, 30.0 + number % 3) for number in range(N_FEATURES)),
    ),
)


def main() -> None:
    """Read, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-feast", action="store_true")
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--cluster", action="store_true", help="compare slots of a cluster instead")
    arguments = parser.parse_args()
    if arguments.cluster:
        _compare_slots(arguments.rounds)
    else:
        _compare_reads(arguments.rounds, with_feast=not arguments.no_feast)


def _compare_reads(n_rounds: int, *, with_feast: bool) -> None:
    with tempfile.TemporaryDirectory() as folder, one_server(Path(folder) / "redis") as url, connect(url) as client:
        ours, bare = _milliseconds(client, n_rounds)
    feast = _feast(n_rounds) if with_feast else None
    by_name = {"read_items": ours, "bare MGET": bare, **({"Feast": feast} if feast else {})}
    print_table(
        (f"{N_READ} entities, {N_FEATURES} features", "p50 ms", "p99 ms"),
        [(name, f"{_p(taken, 50):.2f}", f"{_p(taken, 99):.2f}") for name, taken in by_name.items()],
    )
    figures = {
        "p50_ms": round(_p(ours, 50), 3),
        "p99_ms": round(_p(ours, 99), 3),
        "mget_ratio": round(_p(ours, 50) / _p(bare, 50), 2),
        "mget_p50_ms": round(_p(bare, 50), 3),
        "mget_p99_ms": round(_p(bare, 99), 3),
        "feast_ratio": round(_p(feast, 50) / _p(ours, 50), 1) if feast else None,
        "feast_p50_ms": round(_p(feast, 50), 1) if feast else None,
        "feast_p99_ms": round(_p(feast, 99), 1) if feast else None,
        "limits": {"mget_ratio": 2},
    }
    data = f"made up, {N_ENTITIES:,} entities of {N_FEATURES} float32 features"
    print_figures("online_read", figures, data=data, seed=SEED)


def _milliseconds(client: redis.Redis, n_rounds: int) -> tuple[list[float], list[float]]:
    """Of each read through the reader, and of each MGET of the same rows."""
    values = _values()
    ids = IdMap.of(values.ids(Entity.ITEM))
    publish(client, APP, values, SCHEMAS, ids, "release", BATCH_SIZE)
    rows = client.hgetall(items_key(APP, values.generation_id))
    for start in range(0, N_ENTITIES, BATCH_SIZE):
        client.mset(dict(list(rows.items())[start : start + BATCH_SIZE]))
    reader = RedisFeatureReader(client, APP, values.generation_id, SCHEMAS, ids)
    rng, taken = np.random.default_rng(SEED), ([], [])
    for number in range(N_WARM_UP + n_rounds):
        read_ids = [ItemId(ids.ids[at]) for at in rng.choice(N_ENTITIES, N_READ, replace=False)]
        reads: list[Callable[[], object]] = [
            partial(reader.read_items, read_ids, AS_OF),
            partial(client.mget, read_ids),
        ]
        for side in (0, 1) if number % 2 else (1, 0):
            milliseconds = _timed(reads[side])
            if number >= N_WARM_UP:
                taken[side].append(milliseconds)
    return taken


def _values() -> FeatureValues:
    rng = np.random.default_rng(SEED)
    columns = {name: rng.standard_normal(N_ENTITIES, dtype=np.float32) for name in SCHEMAS.item.names}
    items = pl.DataFrame({"item_id": (7 * pl.int_range(N_ENTITIES, eager=True)).cast(pl.String), **columns})
    users = pl.DataFrame({"user_id": ["u1"], "user_feature": [1.0]})
    return FeatureValues(users, items, pl.DataFrame(schema=HISTORY_SCHEMA), AS_OF)


def _timed(read: Callable[[], object]) -> float:
    started = time.perf_counter()
    read()
    return 1000 * (time.perf_counter() - started)


def _p(taken: list[float], q: int) -> float:
    return float(np.percentile(taken, q))


def _feast(n_rounds: int) -> list[float] | None:
    """The milliseconds of Feast's reads; None, said aloud, where it cannot be installed."""
    python = feast_python()
    if python is None:
        return None
    with tempfile.TemporaryDirectory() as folder, one_server(Path(folder) / "redis") as url:
        address = url.removeprefix("redis://").removesuffix("/0")
        numbers = map(str, (N_ENTITIES // 10, N_FEATURES, SEED, N_READ, min(n_rounds, 100)))
        script = str(Path(__file__).with_name("feast_materialize.py"))
        ran = subprocess.run(
            [str(python), script, folder, address, *numbers], check=False, capture_output=True, text=True
        )
    if ran.returncode:
        print(f"NO COMPARISON WITH FEAST: it failed.\n{ran.stderr[-2000:]}", file=sys.stderr)
        return None
    taken: list[float] = json.loads(ran.stdout.splitlines()[-1])["read_ms"]
    return taken


def _compare_slots(n_rounds: int) -> None:
    """One person's row and history, of which a request reads both, from one slot and from two."""
    row, generation = b"x" * (16 + 4 * N_FEATURES), "0" * 16
    keys = {
        "one slot": (users_key(APP, generation, 0), histories_key(APP, generation, 0)),
        "a slot a bucket": (users_key(f"{APP}/0", generation, 0), histories_key(f"{APP}/1", generation, 0)),
    }
    with tempfile.TemporaryDirectory() as folder, three_nodes(Path(folder)) as url, connect(url) as client:
        for key in (key for pair in keys.values() for key in pair):
            client.hset(key, mapping={str(number): row for number in range(64)})
        taken: dict[str, list[float]] = {name: [] for name in keys}
        for _ in range(10 * n_rounds):
            for name, pair in keys.items():
                taken[name].append(_timed(partial(_read_person, client, pair)))
    print_table(
        ("a person's row and history from", "p50 ms", "p99 ms"),
        [(name, f"{_p(times, 50):.3f}", f"{_p(times, 99):.3f}") for name, times in taken.items()],
    )
    figures = {f"{name.replace(' ', '_')}_p50_ms": round(_p(times, 50), 3) for name, times in taken.items()}
    print_figures("online_read_cluster", figures, data="made up, 40 float32 features", seed=SEED)


def _read_person(client: redis.Redis, keys: tuple[str, str]) -> None:
    with client.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.hget(key, "7")
        pipeline.execute()


if __name__ == "__main__":
    main()
