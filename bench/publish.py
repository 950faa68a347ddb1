"""How fast are values published, and in how much memory? Against a bare pipelined MSET, and against Feast.

    python -m bench.publish [--large] [--no-feast] [--feast-people N]    sizes 1e5 and 1e6, with --large also 1e7
    python -m bench.publish --layouts                                    how the layout was chosen

People with 40 float32 features each are made up into a values folder and published into a Redis of the benchmark's own,
by a process of its own for each size, so that its peak memory is that of this size. The same process then writes the
same rows under a key each by bare pipelined MSET; the two take turns, and each one's best of 3 counts.
Limits: 250,000 entities/s, half of MSET, 250 bytes a person, flat memory.

Feast runs in an environment of its own (SLATE_HOME/bench/feast-venv, made by uv when it is not there): the same rows in
its file offline store, `materialize` into the same kind of Redis.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import polars as pl
import redis

from bench.report import print_figures, print_table
from contracts.features import Entity, FeatureSchema, FeatureSpec
from contracts.home import find_home
from contracts.id_map import IdMap
from feature_store.online.connection import connect
from feature_store.online.keys import users_key
from feature_store.online.packing import epoch_seconds, layout_fingerprint, pack_rows
from feature_store.publishing.publishing import publish
from feature_store.server.server_program import free_port, server_command
from feature_store.values.generation_digest import matrix_of
from feature_store.values.values import HISTORY_SCHEMA, FeatureSchemas, FeatureValues
from feature_store.values.values_folder import ValuesFolder

APP = "bench"
SEED = 7
N_FEATURES = 40
ROUNDS = 3
BATCH_SIZE = 5000  # as in params.yaml
MSET_KEYS = 500  # in one command
AS_OF = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = tuple(f"user_feature_{number}" for number in range(N_FEATURES))
SCHEMAS = FeatureSchemas(
    FeatureSchema(Entity.USER, tuple(FeatureSpec(name, 0.0, 30.0) for name in NAMES)),
    FeatureSchema(Entity.ITEM, (FeatureSpec("item_feature", 0.0, 30.0),)),
)
FEAST = "feast[redis]==0.67.0"


def main() -> None:
    """Publish at every size, and then compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true", help="also 1e7 people: 2 GiB of disk, 4 GiB of Redis")
    parser.add_argument("--layouts", action="store_true", help="compare layouts instead")
    parser.add_argument("--no-feast", action="store_true")
    parser.add_argument("--feast-people", type=int, default=100_000)
    parser.add_argument("--measure", nargs=2, metavar=("FOLDER", "URL"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(_measure(Path(arguments.measure[0]), arguments.measure[1])))
    elif arguments.layouts:
        _compare_layouts()
    else:
        sizes = [100_000, 1_000_000, *([10_000_000] if arguments.large else [])]
        _compare(sizes, 0 if arguments.no_feast else arguments.feast_people)


def _compare(sizes: list[int], feast_people: int) -> None:
    measured = {size: _measured_in_a_process_of_its_own(size) for size in sizes}
    columns = ("people", "entities/s", "MSET keys/s", "ratio", "bytes/person", "used_memory/person", "client peak MiB")
    rows = [
        (
            f"{size:,}",
            f"{one['entities_per_s']:,.0f}",
            f"{one['mset_per_s']:,.0f}",
            f"{one['entities_per_s'] / one['mset_per_s']:.2f}",
            f"{one['bytes_per_user']:.0f}",
            f"{one['used_per_user']:.0f}",
            f"{one['client_peak_mib']:.0f}",
        )
        for size, one in measured.items()
    ]
    print_table(columns, rows)
    feast = _feast(feast_people) if feast_people else None
    ours = measured[sizes[0]]
    largest = measured[1_000_000]
    figures = {
        "entities_per_s": round(largest["entities_per_s"]),
        "mset_ratio": round(largest["entities_per_s"] / largest["mset_per_s"], 3),
        "bytes_per_user": round(largest["bytes_per_user"], 1),
        "used_per_user": round(largest["used_per_user"], 1),
        "client_peak_mib": {str(size): round(one["client_peak_mib"]) for size, one in measured.items()},
        "feast_ratio": feast and round(ours["entities_per_s"] / feast["entities_per_s"], 1),
        "feast": feast,
        "limits": {"entities_per_s": 250_000, "mset_ratio": 0.5, "bytes_per_user": 250},
    }
    print_figures("publish", figures, data=f"made up, {N_FEATURES} float32 features a person", seed=SEED)


def _measured_in_a_process_of_its_own(size: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, one_server(Path(folder) / "redis") as url:
        values = Path(folder) / "values"
        # Made by a process of its own too: the parent stays small, and Linux counts a child's peak from its parent's.
        _run("-c", f"from bench.publish import make_values; make_values({size}, {str(values)!r})")
        answer = _run("-m", "bench.publish", "--measure", str(values), url)
    measured: dict[str, float] = json.loads(answer.splitlines()[-1])
    return measured


def make_values(n_people: int, folder: str) -> None:
    """Write the values of so many people."""
    rng = np.random.default_rng(SEED)
    columns = {name: rng.standard_normal(n_people, dtype=np.float32) for name in NAMES}
    users = pl.DataFrame({"user_id": _ids(n_people), **columns})
    items = pl.DataFrame({"item_id": ["i1"], "item_feature": [1.0]})
    FeatureValues(users, items, pl.DataFrame(schema=HISTORY_SCHEMA), AS_OF).save(Path(folder))


def _ids(n_people: int) -> pl.Series:
    return (7 * pl.int_range(n_people, eager=True)).cast(pl.String)


def _measure(folder: Path, url: str) -> dict[str, float]:
    """Take turns with MSET; the peak is taken before MSET holds all rows in memory."""
    source = ValuesFolder(folder)
    n_people = source.counts["n_users"]
    with connect(url) as client:
        before = client.info("memory")["used_memory"]
        publishing = [_seconds_to_publish(client, source)]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        used = (client.info("memory")["used_memory"] - before) / n_people
        usage = _bytes_per_user(client, source)
        mset = []
        for number in range(ROUNDS):
            client.flushall()
            mset.append(_seconds_of_mset(client, source))
            client.flushall()
            if number + 1 < ROUNDS:
                publishing.append(_seconds_to_publish(client, source))
    return {
        "entities_per_s": n_people / min(publishing),
        "mset_per_s": n_people / min(mset),
        "bytes_per_user": usage,
        "used_per_user": used,
        "client_peak_mib": peak,
    }


def _seconds_to_publish(client: redis.Redis, source: ValuesFolder) -> float:
    started = time.perf_counter()
    publish(client, APP, source, SCHEMAS, IdMap.of(["i1"]), "release", BATCH_SIZE)
    return time.perf_counter() - started


def _seconds_of_mset(client: redis.Redis, source: ValuesFolder) -> float:
    """The same rows, a key each; reading and packing them is not counted."""
    layout, written = layout_fingerprint(SCHEMAS.user), epoch_seconds(source.as_of)
    seconds = 0.0
    for batch in source.batches("user", 10 * BATCH_SIZE):
        rows = pack_rows(matrix_of(batch), layout, written, batch["user_id"].cast(pl.Binary).to_list())
        keys = [f"slate:{{{APP}}}:{source.generation_id}:u:{user_id}" for user_id in batch["user_id"]]
        pairs = list(zip(keys, rows, strict=True))
        started = time.perf_counter()
        for start in range(0, len(pairs), BATCH_SIZE):
            with client.pipeline(transaction=False) as pipeline:
                for first in range(start, min(start + BATCH_SIZE, len(pairs)), MSET_KEYS):
                    pipeline.mset(dict(pairs[first : first + MSET_KEYS]))
                pipeline.execute()
        seconds += time.perf_counter() - started
    return seconds


def _bytes_per_user(client: redis.Redis, source: ValuesFolder) -> float:
    """MEMORY USAGE of everything that people take up: the hashes, and where they begin."""
    key = users_key(APP, source.generation_id)
    buckets = list(client.scan_iter(match=f"{key}:*", count=1000))
    total = sum(client.memory_usage(name, samples=0) or 0 for name in chain(buckets, [key]))
    return total / source.counts["n_users"]


def _compare_layouts() -> None:
    """One person a key, and people in hashes of several sizes, kept compact or as tables."""
    n_people = 200_000
    rng = np.random.default_rng(SEED)
    ids = _ids(n_people).cast(pl.Binary).to_list()
    rows = pack_rows(rng.standard_normal((n_people, N_FEATURES), dtype=np.float32), "0" * 16, 0, ids)
    table = []
    for people, compact in (
        (1, True),
        *((people, compact) for people in (16, 32, 64, 128) for compact in (False, True)),
    ):
        with tempfile.TemporaryDirectory() as folder, one_server(Path(folder) / "redis") as url, connect(url) as client:
            client.config_set("hash-max-ziplist-entries", 2 * people)
            client.config_set("hash-max-ziplist-value", 1024 if compact else 64)
            before = client.info("memory")["used_memory"]
            started = time.perf_counter()
            _write_layout(client, ids, rows, people)
            seconds = time.perf_counter() - started
            used = (client.info("memory")["used_memory"] - before) / n_people
            usage = sum(client.memory_usage(key, samples=0) or 0 for key in client.scan_iter(count=1000)) / n_people
        name = "string, a key a person" if people == 1 else f"hash of {people}, {'compact' if compact else 'table'}"
        table.append((name, f"{usage:.0f}", f"{used:.0f}", f"{n_people / seconds:,.0f}"))
    print_table(("layout", "MEMORY USAGE/person", "used_memory/person", "people/s written"), table)
    _compare_reads_of_items(ids[: n_people // 2], rows)


def _compare_reads_of_items(ids: list[bytes], rows: list[bytes]) -> None:
    """500 of many items: from one hash, and from a key each."""
    rng = np.random.default_rng(SEED)
    read_ids = [ids[position] for position in rng.choice(len(ids), 500, replace=False)]
    with tempfile.TemporaryDirectory() as folder, one_server(Path(folder) / "redis") as url, connect(url) as client:
        for first in range(0, len(ids), BATCH_SIZE):
            part = dict(zip(ids[first : first + BATCH_SIZE], rows[first : first + BATCH_SIZE], strict=True))
            client.hset("items", items=list(chain.from_iterable(part.items())))
            client.mset(part)
        reads = {"HMGET of one hash": partial(client.hmget, "items", read_ids), "MGET": partial(client.mget, read_ids)}
        best = {name: min(timeit.repeat(read, number=20, repeat=10)) / 20 for name, read in reads.items()}
    print_table(("500 items read by", "ms"), [(name, f"{1000 * seconds:.2f}") for name, seconds in best.items()])


def _write_layout(client: redis.Redis, ids: list[bytes], rows: list[bytes], people: int) -> None:
    prefix = users_key(APP, "0" * 16)
    for start in range(0, len(ids), BATCH_SIZE // people * people):
        with client.pipeline(transaction=False) as pipeline:
            for first in range(start, min(start + BATCH_SIZE // people * people, len(ids)), people):
                pairs = zip(ids[first : first + people], rows[first : first + people], strict=True)
                if people == 1:
                    pipeline.set(f"{prefix}:{ids[first].decode()}", rows[first])
                else:
                    pipeline.hset(f"{prefix}:{first // people}", items=list(chain.from_iterable(pairs)))
            pipeline.execute()


def _feast(n_people: int) -> dict[str, float] | None:
    """Feast's figures; None, said aloud, where it cannot be installed."""
    python = feast_python()
    if python is None:
        return None
    with tempfile.TemporaryDirectory() as folder, one_server(Path(folder) / "redis") as url:
        arguments = [folder, url.removeprefix("redis://").removesuffix("/0"), str(n_people), str(N_FEATURES), str(SEED)]
        ran = subprocess.run(
            [str(python), str(Path(__file__).with_name("feast_materialize.py")), *arguments],
            check=False,
            capture_output=True,
            text=True,
        )
        if ran.returncode:
            print(f"NO COMPARISON WITH FEAST: it failed.\n{ran.stderr[-2000:]}", file=sys.stderr)
            return None
        figures: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
        with connect(url) as client:
            figures["bytes_per_user"] = (client.info("memory")["used_memory"] - figures.pop("used_before")) / n_people
    print_table(("Feast", "value"), [(name, f"{value:,.0f}") for name, value in figures.items()])
    return {name: round(value, 1) for name, value in figures.items()}


def feast_python() -> Path | None:
    """The Python of Feast's own environment, made when it is not there; None, said aloud, where it cannot be."""
    folder = find_home().root / "bench" / "feast-venv"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        try:
            subprocess.run(["uv", "venv", "--quiet", "--clear", "--python", "3.11", str(folder)], check=True)
            subprocess.run(["uv", "pip", "install", "--quiet", "--python", str(python), FEAST], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"NO COMPARISON WITH FEAST: it cannot be installed here: {error}", file=sys.stderr)
            return None
        (folder / "ready").touch()
    return python


@contextmanager
def one_server(folder: Path) -> Iterator[str]:
    """A Redis for this benchmark alone: every write goes to its append-only file, as shipped, and nothing is dumped."""
    folder.mkdir()
    port = free_port()
    process = subprocess.Popen([*server_command(folder, port), "--save", ""])
    try:
        with redis.Redis(port=port) as probe:
            while not _answers(probe):
                if process.poll() is not None:
                    sys.exit((folder / "redis.log").read_text())
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.kill()
        process.wait()


def _answers(probe: redis.Redis) -> bool:
    try:
        return bool(probe.ping())
    except redis.RedisError:
        return False


def _run(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
