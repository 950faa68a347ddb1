from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from contracts.features import Entity
from contracts.tables import INTERACTIONS_SCHEMA, ITEMS_SCHEMA, USERS_SCHEMA, CanonicalTables
from feature_store.definitions import features_of
from pipelines.features import learn_schemas, training_spines
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


def test_a_snapshot_asks_about_the_whole_catalogue_and_whoever_did_something_before_its_labels_end():
    later = (LATE + timedelta(days=1), "late")
    events = [
        (user_id, "i1", "view", moment, None, None, None) for moment, user_id in ((EARLY, "b"), (EARLY, "a"), later)
    ]
    tables = CanonicalTables(
        pl.DataFrame(events, INTERACTIONS_SCHEMA, orient="row"),
        pl.DataFrame([{"item_id": "i2"}, {"item_id": "i1"}], ITEMS_SCHEMA),
        pl.DataFrame(schema=USERS_SCHEMA),
    )
    split = TimeSplit(EARLY, LATE, LATE + timedelta(days=2), {"test": (EARLY,), "all": (EARLY, LATE)})
    assert [
        (spine["item_id"].to_list(), spine["as_of"].unique().to_list())
        for spine in training_spines(tables, split, Entity.ITEM)
    ] == [
        (["i1", "i2"], [EARLY]),
        (["i1", "i2"], [LATE]),
    ]
    people = training_spines(tables, split, Entity.USER)
    assert [spine["user_id"].to_list() for spine in people] == [["a", "b"], ["a", "b", "late"]]
