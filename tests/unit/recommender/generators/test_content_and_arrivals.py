from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.features import History
from contracts.tables import ITEMS_SCHEMA
from recommender.allowed_items import AllowedItems
from recommender.catalogue import Catalogue
from recommender.generators.content import ContentGenerator
from recommender.generators.new_arrivals import MOST_DAYS, NewArrivalsGenerator
from recommender.proposals import best_of_one
from recommender.query import QueryBatch, RetrievalQuery
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

    def test_what_a_filter_does_not_allow_or_is_excluded_does_not_arrive_and_frees_its_place(self):
        query = replace(last_here(11), excluded=np.array([5], np.int32))
        allowed = AllowedItems.of(np.isin(np.arange(12), [0, 2, 3, 5, 7]))
        arrived = self.arrivals.encode(QueryBatch.of([query], allowed)).propose(3)
        assert arrived.item_idx.tolist() == [0, 7, 3]

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


class TestBestOfHeads:
    """Against a walk through every item."""

    n_items, n_categories = 300, 7

    def world(self, rng: np.random.Generator) -> tuple[ContentGenerator, np.ndarray]:
        kinds = [rng.choice(self.n_categories, rng.integers(0, 4), replace=False) for _ in range(self.n_items)]
        rows = [{"item_id": f"i{at}", "categories": [f"k{kind}" for kind in one]} for at, one in enumerate(kinds)]
        catalogue = Catalogue.from_items(pl.DataFrame(rows, ITEMS_SCHEMA))
        appeal = (1 + np.log1p(rng.integers(0, 9, self.n_items))).astype(np.float32)
        return ContentGenerator(catalogue, appeal), rng.integers(0, 4, self.n_categories).astype(np.float64)

    def competing(self, content: ContentGenerator, lift: np.ndarray, head: int) -> list[int]:
        """Items that stand among the best known of the category that is wanted most of their own."""
        catalogue = content.catalogue
        kinds = np.split(catalogue.category_idx, catalogue.category_offsets[1:-1])
        order = np.argsort(-lift, kind="stable").tolist()
        by_appeal = np.lexsort((np.arange(len(catalogue)), -content.appeal)).tolist()
        heads = {kind: [item for item in by_appeal if kind in kinds[item]][:head] for kind in order}
        with_a_kind = [item for item in range(len(catalogue)) if len(kinds[item])]
        return [item for item in with_a_kind if item in heads[min(kinds[item].tolist(), key=order.index)]]

    @given(st.integers(0, 999), st.sampled_from([3, 1000]), st.integers(0, 40), st.sampled_from([None, 0.1, 0.8]))
    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_the_best_are_those_that_a_walk_through_every_item_finds(self, monkeypatch, seed, head, k, share):
        monkeypatch.setattr("recommender.generators.content.HEAD", head)
        monkeypatch.setattr("recommender.generators.content.MOST_COMPETING", 0)
        rng = np.random.default_rng(seed)
        content, liked = self.world(rng)
        allowed = None if share is None else AllowedItems.of(rng.random(self.n_items) < share)
        queries = [
            RetrievalQuery(0, preferred_categories=liked, excluded=rng.integers(0, self.n_items, 20).astype(np.int32)),
            RetrievalQuery(0),
            RetrievalQuery(0, preferred_categories=rng.permutation(liked)),
        ]
        batch = QueryBatch.of(queries, allowed)
        encoded = content.encode(batch)
        together = encoded.propose(k)
        for row, query in enumerate(queries):
            items = np.array(self.competing(content, encoded.taste.lift_by_category[row], head), np.int32)
            scores = scored(content, query, items)
            left_out = np.isin(items, query.excluded)
            left_out |= False if allowed is None else ~allowed.contains(items)
            expected, _ = best_of_one(items, np.where(left_out, np.nan, scores).astype(np.float32), k)
            assert together.of_query(row)[0].tolist() == expected.tolist()
