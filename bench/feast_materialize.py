"""Feast's side of `bench.publish` and `bench.online_read`, run by a Python that has nothing of ours.

    python feast_materialize.py FOLDER HOST:PORT N_PEOPLE N_FEATURES SEED [N_READ N_ROUNDS]

Prints one JSON line: entities a second of `materialize`, the process's peak, and Redis' memory before it; asked to read
N_READ people N_ROUNDS times, the milliseconds of each read as well.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import redis
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float32

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)


def main() -> None:
    """Write the offline rows, apply, and materialize."""
    folder, address, n_people, n_features, seed = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:6])
    names = [f"user_feature_{number}" for number in range(n_features)]
    _write_rows(folder / "rows.parquet", n_people, names, seed)
    (folder / "feature_store.yaml").write_text(
        f"project: bench\nregistry: {folder}/registry.db\nprovider: local\nentity_key_serialization_version: 3\n"
        f"offline_store: {{type: file}}\nonline_store: {{type: redis, connection_string: '{address}'}}\n"
    )
    store = FeatureStore(repo_path=str(folder))
    person = Entity(name="person", join_keys=["user_id"], value_type=ValueType.STRING)
    view = FeatureView(
        name="people",
        entities=[person],
        ttl=timedelta(days=30),
        schema=[Field(name=name, dtype=Float32) for name in names],
        source=FileSource(path=str(folder / "rows.parquet"), timestamp_field="event_ts"),
    )
    store.apply([person, view])
    host, port = address.split(":")
    with redis.Redis(host=host, port=int(port)) as client:
        used_before = client.info("memory")["used_memory"]
    started = time.perf_counter()
    store.materialize(AS_OF - timedelta(days=1), AS_OF + timedelta(days=1))
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    reads = _milliseconds_of_reads(store, names, n_people, seed, *map(int, sys.argv[6:])) if sys.argv[6:] else {}
    figures = {"entities_per_s": n_people / seconds, "client_peak_mib": peak, "used_before": used_before, **reads}
    print(json.dumps(figures))


def _milliseconds_of_reads(
    store: FeatureStore, names: list[str], n_people: int, seed: int, n_read: int, n_rounds: int
) -> dict[str, list[float]]:
    rng, taken = np.random.default_rng(seed), []
    features = [f"people:{name}" for name in names]
    for _ in range(n_rounds):
        rows = [{"user_id": str(7 * number)} for number in rng.choice(n_people, n_read, replace=False)]
        started = time.perf_counter()
        store.get_online_features(features=features, entity_rows=rows).to_dict()
        taken.append(1000 * (time.perf_counter() - started))
    return {"read_ms": taken}


def _write_rows(path: Path, n_people: int, names: list[str], seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame({name: rng.standard_normal(n_people, dtype=np.float32) for name in names})
    rows.insert(0, "user_id", [str(7 * number) for number in range(n_people)])
    rows["event_ts"] = AS_OF
    rows.to_parquet(path)


if __name__ == "__main__":
    main()
