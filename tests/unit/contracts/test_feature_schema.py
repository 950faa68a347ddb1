"""A schema read back is the schema written, or no schema at all."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.features import Entity, FeatureSchema, FeatureSpec

SCHEMA = FeatureSchema(Entity.USER, (FeatureSpec("user_age", 30, 9000.0), FeatureSpec("user_event_count_7d", 0.0, 7)))


def test_what_was_written_comes_back_with_its_fingerprint() -> None:
    assert FeatureSchema.from_json(SCHEMA.to_json()) == SCHEMA
    assert FeatureSchema.from_json(SCHEMA.to_json()).fingerprint == SCHEMA.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"name": 3},
        {"default": "1"},
        {"default": None},
        {"default": 10**40},
        {"default": float("nan")},
        {"ttl_days": ""},
        {"ttl_days": True},
        {"ttl_days": 0},
        {"ttl_days": 1e300},
        {"colour": "red"},
    ],
)
def test_what_is_no_feature_is_refused(change: dict[str, Any]) -> None:
    content = SCHEMA.to_json()
    content["features"][1] |= change
    with pytest.raises((ValueError, TypeError)):
        FeatureSchema.from_json(content)
