from __future__ import annotations

import numpy as np

from contracts.features import Entity, FeatureSchema, FeatureSpec, ReadRows
from feature_store.definitions.people import VIEWS
from recommender.segments import AGE as AGE_NAME
from recommender.segments import IS_FEMALE, published_segments, segment_of

AGE, FEMALE = FeatureSpec("user_age", 40.0, 9000), FeatureSpec("user_gender_female", 0.5, 9000)
COUNT = FeatureSpec("user_event_count_total", 0.0, 9000)


def rows(*values: tuple[float, ...]) -> ReadRows:
    """Rows as a reader gives them; NaN is missing, and a row of nothing else is nobody's."""
    read = np.array(values, np.float32)
    missing = np.isnan(read)
    filled = np.where(missing, np.float32(40), read)
    return ReadRows(filled, ~missing.all(axis=1), missing, np.zeros(len(values), np.int64))


def test_age_and_gender_that_are_published_tell_what_a_request_would() -> None:
    schema, nan = FeatureSchema(Entity.USER, (COUNT, AGE, FEMALE)), float("nan")
    people = rows((3, 24, 0), (1, 25, 1), (1, nan, 1), (1, 60, nan), (nan, nan, nan))
    assert published_segments(schema, people) == [
        segment_of({"age": 24, "gender": "M"}),
        segment_of({"age": 25, "gender": "F"}),
        {"gender": "F"},
        {"age_band": "56 and over"},
        {},
    ]


def test_a_default_that_stands_for_what_is_missing_tells_nothing() -> None:
    assert published_segments(FeatureSchema(Entity.USER, (AGE,)), rows((float("nan"),), (18,))) == [
        {},
        {"age_band": "18-24"},
    ]


def test_without_these_features_nobody_has_a_segment() -> None:
    assert published_segments(FeatureSchema(Entity.USER, (COUNT,)), rows((3,), (4,))) == [{}, {}]


def test_the_features_that_tell_are_features_that_are_published() -> None:
    published = {feature.name for view in VIEWS for feature in view.features}
    assert {AGE_NAME, IS_FEMALE} <= published
