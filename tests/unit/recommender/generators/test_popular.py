from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from contracts.artefact import save_artefact
from contracts.tables import INTERACTIONS_SCHEMA, USERS_SCHEMA, CanonicalTables
from recommender.generators.base import Generator
from recommender.generators.popular_segment import KIND, PopularSegmentGenerator
from recommender.generators.sets import fit_generators
from recommender.interactions import Interactions
from recommender.query import RetrievalQuery
from recommender.segments import segment_of, segments_of_users
from tests.recommender_worlds import CANDIDATE_SETTINGS, START, checkerboard, proposed, scored

AS_OF = START + timedelta(days=100)
RECENT_DAYS = CANDIDATE_SETTINGS.popular.recent_days


def fitted(*rows: tuple[str, int, timedelta], people: dict[str, str] | None = None) -> dict[str, Generator]:
    """rows: person, item index, how long before AS_OF."""
    interactions = pl.DataFrame(
        [(user, f"i{100 + item}", "view", AS_OF - before, None, None, None) for user, item, before in rows],
        schema=INTERACTIONS_SCHEMA,
        orient="row",
    )
    users = pl.DataFrame(
        [{"user_id": user, "gender": gender} for user, gender in (people or {}).items()],
        schema=USERS_SCHEMA,
    )
    tables = CanonicalTables(interactions, checkerboard().tables.items, users)
    return fit_generators(tables, checkerboard().catalogue, AS_OF, CANDIDATE_SETTINGS, seed=1)


def share(generator: Generator, item: int, **segment: str) -> float:
    return float(scored(generator, RetrievalQuery(0, segment=segment), np.array([item], np.int32))[0])


SECOND = timedelta(seconds=1)
WINDOW = timedelta(days=RECENT_DAYS)


def test_popular_is_the_share_of_all_events():
    popular = fitted(("a", 1, WINDOW * 2), ("b", 1, SECOND), ("c", 2, SECOND))["popular"]
    assert share(popular, 1) == pytest.approx(2 / 3)
    assert proposed(popular, RetrievalQuery(0), 5)[0].tolist() == [1, 2]


def test_recent_reaches_back_to_the_windows_edge_and_no_further():
    recent = fitted(("a", 1, WINDOW + SECOND), ("b", 2, WINDOW), ("c", 3, WINDOW - SECOND))["popular_recent"]
    assert [share(recent, item) for item in (1, 2, 3)] == [0, 0.5, 0.5]


def test_what_happens_at_the_moment_itself_or_later_is_not_known():
    generators = fitted(("a", 1, SECOND), ("b", 2, timedelta(0)), ("c", 3, -SECOND))
    for name in ("popular", "popular_recent", "popular_newcomers"):
        assert proposed(generators[name], RetrievalQuery(0), 9)[0].tolist() == [1]


def test_newcomers_and_people_who_return_are_told_apart_a_day_after_the_first_event():
    day = timedelta(days=1)
    generators = fitted(("a", 1, day * 5), ("a", 2, day * 4), ("a", 3, day * 4 - SECOND))
    assert proposed(generators["popular_newcomers"], RetrievalQuery(0), 9)[0].tolist() == [1, 2]
    assert proposed(generators["popular_returning"], RetrievalQuery(0), 9)[0].tolist() == [3]


def test_a_segments_own_events_are_mixed_with_everybodys():
    rows = [("a", 1, SECOND), ("b", 2, SECOND), ("c", 2, SECOND), ("c", 3, SECOND)]
    segment = fitted(*rows, people={"a": "F", "b": "M", "c": "M"})["popular_segment"]
    smoothing = CANDIDATE_SETTINGS.popular.segment_smoothing
    assert share(segment, 1, gender="F") == pytest.approx((1 + smoothing * 1 / 4) / (1 + smoothing))
    assert share(segment, 2, gender="M") == pytest.approx((2 + smoothing * 2 / 4) / (3 + smoothing))


def test_several_segments_of_one_person_speak_alike():
    rows = [("a", 1, SECOND), ("b", 2, SECOND)]
    segment = fitted(*rows, people={"a": "F", "b": "M"})["popular_segment"]
    assert share(segment, 1, gender="F", occupation="unheard of") == share(segment, 1, gender="F")


def test_a_segment_nobody_is_of_says_nothing():
    segment = fitted(("a", 1, SECOND), people={"a": "F"})["popular_segment"]
    assert np.isnan(share(segment, 1, gender="X"))
    assert len(proposed(segment, RetrievalQuery(0, segment={"gender": "X"}), 5)[0]) == 0


@pytest.mark.parametrize(
    ("context", "segment"),
    [
        ({"age": "17", "gender": "F"}, {"age_band": "under 18", "gender": "F"}),
        ({"age": 18}, {"age_band": "18-24"}),
        ({"age": "56"}, {"age_band": "56 and over"}),
        ({"age": "old", "gender": " ", "colour": "red"}, {}),
        ({"age": None, "occupation": "writer"}, {"occupation": "writer"}),
        ({"device": "mobile", "entry_page": "search"}, {"device": "mobile", "entry_page": "search"}),
        ({"age": "-3"}, {}),
        ({"age": "²"}, {}),
        ({}, {}),
    ],
)
def test_a_context_tells_of_a_segment(context, segment):
    assert segment_of(context) == segment


def test_sparse_shares_are_to_the_bit_those_that_every_count_of_every_segment_gives(tmp_path):
    world = checkerboard()
    events = Interactions.of(world.tables.interactions, world.catalogue.ids)
    segments = segments_of_users(world.tables.users)
    since, smoothing = (START + timedelta(days=3)).timestamp(), 10
    generator = PopularSegmentGenerator.fit(events, world.catalogue, segments, since, smoothing)
    recent = events.event_ts >= since
    items, people = events.item_idx[recent], events.user_idx[recent]
    counts = np.bincount(items, minlength=len(world.catalogue))
    everybody = np.asarray(counts / counts.sum(), np.float32)
    every = np.arange(len(world.catalogue), dtype=np.int32)
    for number, (attribute, value) in enumerate(generator.segments):
        members = np.array([segments[user_id].get(attribute) == value for user_id in events.user_ids])
        own = np.bincount(items[members[people]], minlength=len(world.catalogue))
        expected = ((own + smoothing * everybody) / (own.sum() + smoothing)).astype(np.float32)
        assert generator.shares_of(np.full(len(every), number), every).tobytes() == expected.tobytes()
        assert generator.head(number).tolist() == np.flatnonzero(expected).tolist()
    # As it was written before: every share of every segment.
    dense = np.stack(
        [generator.shares_of(np.full(len(every), number), every) for number in range(len(generator.segments))]
    )
    save_artefact(
        tmp_path / "popular_segment",
        KIND,
        built_with={"catalogue ids": generator.catalogue_fingerprint},
        arrays={"shares": dense},
        values={"segments": [list(segment) for segment in generator.segments]},
    )
    loaded = PopularSegmentGenerator.load(tmp_path / "popular_segment", world.catalogue)
    query = replace(world.query("u503"), segment={"gender": "F", "age_band": "18-24"})
    assert [array.tobytes() for array in proposed(loaded, query, 9)] == [
        array.tobytes() for array in proposed(generator, query, 9)
    ]
