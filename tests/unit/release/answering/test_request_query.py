from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from contracts.events import EVENT_CODES, EventType
from contracts.features import Entity, FeatureSchema, FeatureSpec, History, OlderEvents, ReadRows, RecentEvents
from contracts.slates import RecommendRequest
from feature_store.readers.ttl_and_defaults import unknown_person
from release.answering.request_query import retrieval_query
from tests.unit.release.made_up_release import made_up_release

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_what_is_stamped_after_now_has_happened_all_the_same():
    release, now = made_up_release(), int(NOW.timestamp())
    done = History.without_types(
        np.array([0, 1], np.int32), np.array([now - 5, now + 60]), np.full(2, np.nan, np.float32)
    )
    person = replace(unknown_person(release.schemas.user), session=RecentEvents.of(done))
    query = retrieval_query(release, RecommendRequest("r"), person, NOW)
    assert query.history.event_ts.tolist() == [now - 5, now]


def test_what_was_touched_before_the_history_begins_is_excluded_too_as_the_rule_of_the_release_says():
    release, now = made_up_release(), int(NOW.timestamp())
    older = OlderEvents(
        np.array([3, 7], np.int32), np.array([now - 90 * 86_400, now - 9 * 86_400]), np.array([1, 4], np.uint8)
    )
    done = History.without_types(np.array([5], np.int32), np.array([now - 5]), np.full(1, np.nan, np.float32))
    person = replace(unknown_person(release.schemas.user), history=done, older=older)

    def excluded(**rule: object) -> list[int]:
        of_rule = replace(release, request=release.request.model_copy(update=rule))
        return retrieval_query(of_rule, RecommendRequest("r"), person, NOW).excluded.tolist()

    assert excluded() == [3, 5, 7]
    assert excluded(excluded_days=30.0) == [5, 7]
    assert excluded(excluding_events=(EventType.PURCHASE,)) == [5, 7]


def test_what_somebody_brought_back_says_nothing_of_their_taste_and_is_still_excluded():
    release, now = made_up_release(), int(NOW.timestamp())
    bought, viewed, returned = (EVENT_CODES[kind] for kind in (EventType.PURCHASE, EventType.VIEW, EventType.RETURN))
    done = History(
        np.array([3, 5, 3], np.int32),
        np.array([now - 90, now - 60, now - 5]),
        np.array([bought, viewed, returned], np.uint8),
        np.full(3, np.nan, np.float32),
    )
    person = replace(unknown_person(release.schemas.user), recent=RecentEvents.of(done))
    query = retrieval_query(release, RecommendRequest("r"), person, NOW)
    assert query.history.item_idx.tolist() == [5]
    assert query.excluded.tolist() == [3, 5]


def test_what_is_published_of_somebody_tells_their_segment_where_the_request_does_not():
    release = made_up_release()
    schema = FeatureSchema(
        Entity.USER, (FeatureSpec("user_age", 40, 9000), FeatureSpec("user_gender_female", 0.5, 9000))
    )
    known, written = np.ones(1, bool), np.zeros(1, np.int64)
    features = ReadRows(np.array([[30, 1]], np.float32), known, np.zeros((1, 2), bool), written)
    person = replace(unknown_person(schema), features=features)

    def segment(*, segments_of_people: bool, **context: str) -> Mapping[str, str]:
        rules = release.request.model_copy(update={"segments_of_people": segments_of_people})
        asked = replace(release, request=rules, schemas=replace(release.schemas, user=schema))
        return retrieval_query(asked, RecommendRequest("r", context=context), person, NOW).segment

    assert segment(segments_of_people=False) == {}
    assert segment(segments_of_people=True) == {"age_band": "25-34", "gender": "F"}
    told = {"gender": "M", "age_band": "25-34", "device": "phone"}
    assert segment(segments_of_people=True, gender="M", device="phone") == told
