"""A generation of a few values, and the schemas that read it."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl

from contracts.features import Entity, FeatureSchema, FeatureSpec
from contracts.id_map import IdMap
from feature_store.values.values import FeatureSchemas, FeatureValues

# Not on a whole second: what is packed is rounded, and both readers must round alike.
AS_OF = datetime(2020, 5, 1, 12, 0, 0, 250_000, tzinfo=UTC)
SCHEMAS = FeatureSchemas(
    FeatureSchema(Entity.USER, (FeatureSpec("user_week", 7.5, 7.0), FeatureSpec("user_ever", -1.0, 36_500.0))),
    FeatureSchema(Entity.ITEM, (FeatureSpec("item_day", 0.0, 1.0), FeatureSpec("item_ever", 2.5, 36_500.0))),
)


def generation(n_users: int = 40, n_items: int = 30, seed: int = 5, as_of: datetime = AS_OF) -> FeatureValues:
    """Random values, a fifth of them missing; every second person has a history; rows in no order."""
    rng, of_types = np.random.default_rng(seed), np.random.default_rng(seed + 1)
    user_ids = [f"u{position * 7 + 3}" for position in range(n_users)]
    item_ids = [f"i{position * 5 + 2}" for position in range(n_items)]
    histories = [
        {
            "user_id": user_id,
            "item_ids": list(rng.choice(item_ids, size=length)),
            "event_ts": sorted(int(second) for second in rng.integers(1_500_000_000, 1_588_000_000, size=length)),
            "event_types": of_types.integers(1, 7, size=length).tolist(),
            "values": [None if rng.random() < 0.2 else float(rng.integers(1, 6)) for _ in range(length)],
        }
        for user_id, length in zip(user_ids[::2], rng.integers(1, 9, size=n_users)[::2], strict=True)
    ]
    return FeatureValues(
        _rows("user", user_ids, rng), _rows("item", item_ids, rng), pl.DataFrame(histories).reverse(), as_of
    )


def ids_of(values: FeatureValues) -> IdMap:
    """The id map of the release that these values belong to."""
    return IdMap.of(values.ids(Entity.ITEM))


def _rows(entity: str, ids: list[str], rng: np.random.Generator) -> pl.DataFrame:
    names = SCHEMAS.of(Entity(entity)).names
    columns = {
        name: [None if rng.random() < 0.2 else float(value) for value in rng.normal(size=len(ids))] for name in names
    }
    return pl.DataFrame({f"{entity}_id": ids, **columns}).sample(fraction=1.0, shuffle=True, seed=1)
