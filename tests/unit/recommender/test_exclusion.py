"""What somebody touched is not proposed again: which events exclude, and for how long."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from contracts.events import EVENT_CODES, UNSPECIFIED_TYPE, EventType
from contracts.features import History, OlderEvents
from contracts.settings.request import RequestSettings
from recommender.exclusion import FOR_EVER, ExclusionRule

DAY = 86_400
NOW = 100 * DAY
VIEW, PURCHASE = EVENT_CODES[EventType.VIEW], EVENT_CODES[EventType.PURCHASE]
SETTINGS = {
    "quotas": {},
    "n_ranked": 10,
    "personal_min_events": 5,
    "relevance_weight": 1.0,
    "exploration_share": 0.0,
    "max_k": 10,
}

Event = tuple[int, int, int]  # item, type, days ago


def history(*events: Event) -> History:
    items, types, days = zip(*events, strict=True) if events else ((), (), ())
    return History(
        np.array(items, np.int32),
        NOW - DAY * np.array(days, np.int64),
        np.array(types, np.uint8),
        np.full(len(events), np.nan, np.float32),
    )


def older(*events: Event) -> OlderEvents:
    of_history = history(*events)
    return OlderEvents(of_history.item_idx, of_history.event_ts, of_history.event_types)


def excluded(rule: ExclusionRule, recent: History, before: OlderEvents) -> list[int]:
    return rule.items(recent, before, NOW).tolist()


def rule_of(**parameters: object) -> ExclusionRule:
    settings = RequestSettings.model_validate({**SETTINGS, **parameters})
    return ExclusionRule.of(settings.excluding_events, settings.excluded_days)


def test_by_default_everything_ever_touched_is_excluded_once_and_in_order() -> None:
    assert excluded(FOR_EVER, history((7, VIEW, 2), (3, PURCHASE, 1), (7, VIEW, 0)), older((1, VIEW, 99))) == [1, 3, 7]
    assert excluded(FOR_EVER, history(), older()) == []
    assert rule_of() == FOR_EVER


def test_only_the_named_types_exclude_and_those_that_nobody_knows() -> None:
    rule = rule_of(excluding_events=["purchase"])
    recent = history((1, VIEW, 3), (2, PURCHASE, 2), (3, UNSPECIFIED_TYPE, 1))
    assert excluded(rule, recent, older((4, VIEW, 50), (5, PURCHASE, 50))) == [2, 3, 5]


@pytest.mark.parametrize(("days", "items"), [(10.0, [1, 2]), (9.99, [1, 2]), (30.0, [1, 2, 4]), (9.0, [1])])
def test_after_so_many_days_an_item_may_be_shown_again(days: float, items: list[int]) -> None:
    rule = rule_of(excluded_days=days)
    assert excluded(rule, history((2, VIEW, 9), (3, VIEW, 30), (1, VIEW, 8)), older((4, VIEW, 29))) == items


def test_events_that_no_history_holds_are_refused() -> None:
    with pytest.raises(ValidationError, match="impression; histories hold events of the types"):
        RequestSettings.model_validate({**SETTINGS, "excluding_events": ["impression"]})
    with pytest.raises(ValidationError):
        RequestSettings.model_validate({**SETTINGS, "excluding_events": []})
