"""The records that `test_log_versions.py` reads, made once, by the version that wrote each; nobody runs it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from contracts.events import EventType
from contracts.features import ReadRows
from contracts.filters import Condition, Operator
from contracts.ids import ItemId, UserId
from contracts.slates import RecommendRequest, Slate, SlateItem, Tier
from release.parity.used_values import UsedEvent, UsedRows, UsedValues
from serving.logs.event_log import EventLog
from serving.logs.records import shown
from serving.served import Arm

FOLDER = Path(__file__).parent / "logs"
NOW = datetime(2026, 11, 30, 12, 0, 0, 123_456, tzinfo=UTC)


def values() -> UsedValues:
    """A person of two features, and three items of three, some of which are missing."""
    of_user = ReadRows(
        np.array([[1.5, -0.0]], np.float32), np.array([True]), np.array([[False, True]]), np.array([1_790_000_000])
    )
    of_items = ReadRows(
        np.array([[0.1, 2.0, 3.0], [4.0, 5.5, -6.0], [7.0, 1e-30, 1e30]], np.float32),
        np.array([True, False, True]),
        np.array([[False, True, False], [True, True, True], [False, False, True]]),
        np.array([1_790_000_000, 0, 1_790_000_001]),
    )
    recent = (
        UsedEvent(1_790_000_000_123_456, EventType.CLICK, 7),
        UsedEvent(1_790_000_000_999_999, EventType.VIEW, -1),
    )
    items = UsedRows(("i1", "ünï", "i3"), of_items)
    user = UsedRows(("u7",), of_user)
    return UsedValues("q1", "r-1", "g-1", NOW, user, items, 5, 1_789_999_999, recent)


def slates() -> dict[str, dict[str, Any]]:
    """The records of a slate whose items all have the same propensity, and of one that explored within a filter."""
    asked = RecommendRequest("", UserId("u7"))
    within = replace(asked, filter=Condition("price", Operator.AT_MOST, 50.0))
    return {
        "greedy": shown(asked, _slate("greedy", (1.0, 1.0, 1.0)), Arm.CANARY, NOW),
        "explored": shown(within, _slate("explored", (1.0, 0.25, 0.5), "features"), Arm.CANARY, NOW),
    }


def _slate(policy_id: str, propensities: Sequence[float], *degraded: str) -> Slate:
    items = tuple(
        SlateItem(ItemId(item_id), "", position, 0.5, "als", propensity)
        for position, (item_id, propensity) in enumerate(zip(("i1", "ünï", "i3"), propensities, strict=True), start=1)
    )
    return Slate(f"q-{policy_id}", "r-1", "g-1", Tier.PERSONAL, policy_id, degraded, items, {})


if __name__ == "__main__":
    (FOLDER / "values_v2.bin").write_bytes(values().to_bytes("canary"))
    for name, record in slates().items():
        (FOLDER / f"slate_v1_{name}.json").write_bytes(EventLog.encoded([record])[0] + b"\n")
