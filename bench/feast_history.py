"""Feast's side of `bench.features`, run by the Python of Feast's own environment, which has nothing of ours.

    python feast_history.py FOLDER

FOLDER: `ours.parquet`, the features computed before. People's and items' are views of their own, and
`get_historical_features` joins them back to every row. Prints one JSON line: seconds and the process's peak.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from datetime import timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float32


def main() -> None:
    """Apply, join, and measure."""
    folder = Path(sys.argv[1])
    rows = pd.read_parquet(folder / "ours.parquet").rename(columns={"as_of": "event_timestamp"})
    (folder / "feature_store.yaml").write_text(
        f"project: bench\nregistry: {folder}/registry.db\nprovider: local\nentity_key_serialization_version: 3\n"
        "offline_store: {type: file}\n"
    )
    store = FeatureStore(repo_path=str(folder))
    views = [_view(folder, rows, entity) for entity in ("user", "item")]
    entities = [entity for view, entity in views]
    store.apply([*entities, *(view for view, _ in views)])
    spine = rows[["user_id", "item_id", "event_timestamp"]]
    names = [f"{view.name}:{field.name}" for view, _ in views for field in view.schema if field.dtype == Float32]
    started = time.perf_counter()
    joined = store.get_historical_features(entity_df=spine, features=names).to_df()
    seconds = time.perf_counter() - started
    if len(joined) != len(rows):
        sys.exit(f"Feast gave {len(joined)} rows for {len(rows)}")
    print(json.dumps({"seconds": seconds, "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}))


def _view(folder: Path, rows: pd.DataFrame, name: str) -> tuple[FeatureView, Entity]:
    features = [column for column in rows.columns if column.startswith(f"{name}_") and column != f"{name}_id"]
    path = folder / f"feast_{name}.parquet"
    kept = rows[[f"{name}_id", "event_timestamp", *features]]
    kept.drop_duplicates([f"{name}_id", "event_timestamp"]).to_parquet(path)
    entity = Entity(name=name, join_keys=[f"{name}_id"], value_type=ValueType.STRING)
    view = FeatureView(
        name=f"{name}s",
        entities=[entity],
        ttl=timedelta(days=400),
        schema=[Field(name=feature, dtype=Float32) for feature in features],
        source=FileSource(path=str(path), timestamp_field="event_timestamp"),
    )
    return view, entity


if __name__ == "__main__":
    main()
