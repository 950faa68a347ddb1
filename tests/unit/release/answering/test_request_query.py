from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from contracts.features import History, RecentEvents
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
