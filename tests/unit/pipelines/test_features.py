from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from contracts.features import Entity
from feature_store.definitions import features_of
from pipelines.features import learn_schemas
from recommender.split import TimeSplit

EARLY = datetime(2026, 1, 1, tzinfo=UTC)
LATE = EARLY + timedelta(days=30)
SPLIT = TimeSplit(EARLY, LATE, LATE, {"test": (EARLY,), "all": (EARLY, LATE)})


def training(entity: Entity) -> pl.DataFrame:
    """Everything is 1 at the first snapshot and 9 at three rows of the later one, which outnumber it."""
    names = [feature.name for feature, _ in features_of(entity)]
    rows = [{"as_of": EARLY, **dict.fromkeys(names, 1.0)}, *({"as_of": LATE, **dict.fromkeys(names, 9.0)},) * 3]
    return pl.DataFrame(rows).with_columns(pl.col("as_of").cast(pl.Datetime("us", "UTC")))


def test_defaults_are_learnt_from_the_snapshots_before_the_test_window_alone():
    schemas = learn_schemas({entity: training(entity) for entity in Entity}, SPLIT)
    for entity in Entity:
        defaults = {spec.name: spec.default for spec in schemas.of(entity).features}
        learnt = {defaults[feature.name] for feature, _ in features_of(entity) if feature.when_empty is None}
        assert learnt == {1.0}
