from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from contracts.features import History
from recommender.generators.content import ContentGenerator
from recommender.generators.new_arrivals import MOST_DAYS, NewArrivalsGenerator
from recommender.query import RetrievalQuery
from tests.recommender_worlds import START, checkerboard, interactions, proposed, scored

DAY = 86_400
NOW = START.timestamp() + 300 * DAY


def last_here(day: float) -> RetrievalQuery:
    moment = np.array([int(START.timestamp() + day * DAY)])
    return RetrievalQuery(
        int(NOW), History.without_types(np.array([0], np.int32), moment, np.array([np.nan], np.float32))
    )


class TestNewArrivals:
    arrivals = NewArrivalsGenerator.fit(
        interactions(("a", 1, 10), ("b", 1, 20), ("a", 2, 12), ("a", 3, 15)), checkerboard().catalogue, NOW
    )

    def test_an_item_arrives_with_its_first_event_and_the_newest_comes_first(self):
        items, _ = proposed(self.arrivals, last_here(11), 100)
        never_seen = [0, *range(4, 12)]  # as new as can be, in the order of the index
        assert items.tolist() == [*never_seen, 3, 2]

    def test_what_arrived_with_the_last_event_itself_is_not_new(self):
        assert 2 in proposed(self.arrivals, last_here(11.99), 100)[0]
        assert 2 not in proposed(self.arrivals, last_here(12), 100)[0]

    def test_the_score_is_in_days_and_negative_for_what_was_there_before(self):
        scores = scored(self.arrivals, last_here(12), np.array([1, 2, 3], np.int32))
        assert scores == pytest.approx([10 - 12, 0, 15 - 12])

    def test_older_than_the_most_is_no_different(self):
        assert scored(self.arrivals, last_here(299), np.array([1], np.int32)) == pytest.approx([-MOST_DAYS])


class TestContent:
    content = ContentGenerator.fit(
        interactions(("a", 6, 1), ("b", 6, 1), ("a", 8, 1), ("a", 1, 1)), checkerboard().catalogue
    )

    def test_among_items_of_the_same_categories_the_best_known_comes_first(self):
        query = RetrievalQuery(0, preferred_categories=checkerboard().catalogue.category_vector(["even"]))
        assert proposed(self.content, query, 4)[0].tolist() == [6, 8, 0, 2]

    def test_what_somebody_touched_counts_against_what_they_said(self):
        odd_said = RetrievalQuery(0, preferred_categories=checkerboard().catalogue.category_vector(["odd"]))
        many_even = np.array([0, 2, 4, 6, 8, 10], np.int32)
        both = replace(odd_said, preferred_items=many_even)
        said, done = (scored(self.content, query, np.array([3, 4], np.int32)) for query in (odd_said, both))
        assert said[0] > said[1]
        assert done[0] - done[1] < said[0] - said[1]
