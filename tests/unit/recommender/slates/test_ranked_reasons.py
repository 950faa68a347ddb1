"""Reasons of a ranker: what raised the score is said, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from contracts.events import EVENT_CODES, EventType
from contracts.features import Entity, FeatureSchema, FeatureSpec, History
from contracts.ids import FloatArray
from feature_store.values.values import FeatureSchemas
from recommender.query import QueryBatch, RetrievalQuery
from recommender.ranking.ranking_features import RankingMatrix
from recommender.slates.explanation import NOT_PROPOSED, Ranked, absent_values, group_contributions, reasons
from recommender.slates.reason_table import Group, columns_by_group
from tests.recommender_worlds import CHECKERBOARD_END, checkerboard, checkerboard_generators, gathered

NOW = int(CHECKERBOARD_END.timestamp())
DAY = 24 * 60 * 60
ITEM_FEATURES = {"item_age_days": 400.0, "item_event_count_7d": 0.0, "item_event_trend_7d_of_30d": 0.2}
SCHEMAS = FeatureSchemas(
    FeatureSchema(Entity.USER, (FeatureSpec("user_age", 30.0, 9000),)),
    FeatureSchema(Entity.ITEM, tuple(FeatureSpec(name, default, 9000) for name, default in ITEM_FEATURES.items())),
)


@dataclass(frozen=True)
class LinearRanker:
    """A score of so much for each feature, against what stands where it is not known; NaN counts as 0."""

    weights: dict[str, float]
    names: tuple[str, ...]
    absent: FloatArray

    def contributions(self, values: FloatArray) -> np.ndarray:
        weights = np.array([self.weights.get(name, 0.0) for name in self.names])
        added = weights * (np.nan_to_num(values) - np.nan_to_num(self.absent))
        return np.column_stack([added, np.full(len(values), float(weights @ np.nan_to_num(self.absent)))])

    def score(self, values: FloatArray) -> FloatArray:
        return self.contributions(values).sum(axis=1).astype(np.float32)


def why(
    told: dict[str, float],
    weights: dict[str, float],
    query: RetrievalQuery | None = None,
    quotas: dict[str, int] | None = None,
    written: int = NOW,
    generators: dict[str, Any] | None = None,
) -> tuple[str, ...]:
    """The reasons for the first candidate, of a ranker that is told some features and weighs some."""
    world, generators = checkerboard(), generators or checkerboard_generators()
    query = query or world.query("u500")
    candidates = gathered(generators, query, quotas or {"popular_recent": 12}, 100)
    names = tuple(dict.fromkeys([*SCHEMAS.item.names, *told, *weights]))
    absent = absent_values(names, SCHEMAS)
    values = np.tile(absent, (len(candidates), 1))
    for name, value in told.items():
        values[:, names.index(name)] = value
    ranker = LinearRanker(weights, names, absent)
    ranked = Ranked(ranker, RankingMatrix(names, values), SCHEMAS, np.full(len(candidates), written, np.int64))
    queries, shown = QueryBatch.of([query]), np.array([0])
    return reasons(world.catalogue, generators, queries, candidates, shown, ranked)[0]


def history_of(*events: tuple[int, EventType, float]) -> RetrievalQuery:
    """Somebody who did these things, oldest first: the item, what, and how many days ago; odd items are proposed."""
    item_idx = np.array([item for item, _, _ in events], np.int32)
    event_ts = np.array([NOW - round(days * DAY) for _, _, days in events], np.int64)
    codes = np.array([EVENT_CODES[event_type] for _, event_type, _ in events], np.uint8)
    history = History(item_idx, event_ts, codes, np.full(len(events), np.nan, np.float32))
    return RetrievalQuery(
        NOW, history, excluded=np.unique(np.concatenate([item_idx, np.arange(0, 12, 2)])).astype(np.int32)
    )


LIKES_ODD = [(item, EventType.VIEW, 20.0 - item) for item in (1, 3, 5)]
CATEGORY = {"pair_category_affinity_all": 0.9}
UP = {"pair_category_affinity_all": 1.0}


def test_what_was_chosen_of_a_category_this_week_is_counted():
    done = [*LIKES_ODD, (7, EventType.PURCHASE, 6.9), (9, EventType.PURCHASE, 2), (9, EventType.PURCHASE, 1)]
    assert why(CATEGORY, UP, history_of(*done)) == ("Because you bought two in odd this week",)


def test_what_was_done_just_before_the_week_counts_for_the_month():
    done = [(7, EventType.RATING, 7.1), (9, EventType.RATING, 2), (5, EventType.RATING, 29)]
    assert why(CATEGORY, UP, history_of(*done)) == ("Because you rated three in odd this month",)


def test_of_several_things_done_it_is_said_that_they_were_chosen():
    done = [(7, EventType.VIEW, 3), (9, EventType.PURCHASE, 2), (5, EventType.VIEW, 1)]
    assert why(CATEGORY, UP, history_of(*done)) == ("Because you chose three in odd this week",)


def test_a_category_liked_long_ago_is_liked():
    done = [(item, EventType.VIEW, 100.0) for item in (1, 3, 5)]
    assert why(CATEGORY, UP, history_of(*done)) == ("Because you like odd",)


def test_what_lowers_the_score_is_no_reason():
    assert why(CATEGORY, {"pair_category_affinity_all": -1.0}, history_of(*LIKES_ODD)) == ("Popular this month",)


def test_what_the_ranker_makes_nothing_of_is_no_reason():
    assert why(CATEGORY, {"item_event_count_7d": 1.0}, history_of(*LIKES_ODD)) == ("Popular this month",)


def test_what_the_score_does_not_miss_is_no_reason():
    """Its features add something on average, and yet without them the score is as high."""

    class Unmoved(LinearRanker):
        def score(self, values: FloatArray) -> FloatArray:
            return np.ones(len(values), np.float32)

    world, generators = checkerboard(), checkerboard_generators()
    query = history_of(*LIKES_ODD)
    candidates = gathered(generators, query, {"popular_recent": 12}, 100)
    names = ("pair_category_affinity_all",)
    absent = absent_values(names, SCHEMAS)
    matrix = RankingMatrix(names, np.full((len(candidates), 1), 0.9, np.float32))
    ranked = Ranked(Unmoved(UP, names, absent), matrix, SCHEMAS, np.zeros(len(candidates), np.int64))
    told = reasons(world.catalogue, generators, QueryBatch.of([query]), candidates, np.array([0]), ranked)
    assert told == [("Popular this month",)]


def test_what_weighs_most_is_said_first_and_three_at_most():
    told = {
        **CATEGORY,
        "pair_category_affinity_session": 0.5,
        "item_age_days": 3.0,
        "pair_price_band_share_all": 0.6,
        "pair_release_year_gap_latest": 4.0,
    }
    weights = {
        "pair_category_affinity_all": 1.0,
        "pair_category_affinity_session": 0.1,
        "item_age_days": -0.01,
        "pair_price_band_share_all": 2.0,
        "pair_release_year_gap_latest": 0.5,
    }
    assert why(told, weights, history_of(*LIKES_ODD)) == (
        "New this week",
        "From about the years of what you chose lately",
        "Priced like most of what you chose",
    )


@pytest.mark.parametrize(
    ("told", "weights", "reason"),
    [
        ({"item_age_days": 7.0}, {"item_age_days": -1.0}, "New this week"),
        ({"item_age_days": 7.1}, {"item_age_days": -1.0}, "New this month"),
        ({"item_age_days": 30.1}, {"item_age_days": -1.0}, None),
        (
            {"pair_category_affinity_session": 0.1},
            {"pair_category_affinity_session": 1},
            "Fits what you chose just now",
        ),
        ({"pair_category_affinity_session": 0.0}, {"pair_category_affinity_session": -1}, None),
        ({"pair_content_similarity_last": 0.6}, {"pair_content_similarity_last": 1}, "Described much like Square 5"),
        ({"pair_content_similarity_last": 0.5}, {"pair_content_similarity_last": 1}, None),
        ({"pair_price_band_share_all": 0.4}, {"pair_price_band_share_all": 1}, None),
        ({"pair_release_year_gap_latest": 5.1}, {"pair_release_year_gap_latest": 1}, None),
        (
            {"item_event_trend_7d_of_30d": 0.36, "item_event_count_7d": 5},
            {"item_event_trend_7d_of_30d": 1},
            "Chosen more often this week than before",
        ),
        ({"item_event_trend_7d_of_30d": 0.36, "item_event_count_7d": 4}, {"item_event_trend_7d_of_30d": 1}, None),
        ({"item_event_trend_7d_of_30d": 0.34, "item_event_count_7d": 5}, {"item_event_trend_7d_of_30d": 1}, None),
    ],
)
def test_a_sentence_is_said_where_the_values_support_it(told, weights, reason):
    expected = "Popular this month" if reason is None else reason
    assert why(told, weights, history_of(*LIKES_ODD)) == (expected,)


def test_a_row_that_is_days_old_says_how_new_an_item_was_then():
    told, weights = {"item_age_days": 3.0}, {"item_age_days": -1.0}
    assert why(told, weights, written=NOW - 5 * DAY)[0] == "New this month"
    assert why(told, weights, written=0) == ("Popular this month",)  # nobody knows how old the row is


def test_a_default_is_nothing_that_is_known_of_an_item():
    assert why({"item_age_days": 400.0}, {"item_age_days": -1.0}) == ("Popular this month",)


def test_what_is_chosen_next_is_told_of_the_item_it_comes_after():
    generators = checkerboard_generators()
    comes_next = replace(generators["covisitation"], name="next_visit")
    query = checkerboard().query("u500")
    chosen = {f"Often chosen next after {checkerboard().catalogue.titles[item]}" for item in query.history.item_idx}
    told, weights = {"score_next_visit": 0.5}, {"score_next_visit": 1.0}
    (reason,) = why(told, weights, query, {"next_visit": 12}, generators={**generators, "next_visit": comes_next})
    assert reason in chosen


def test_beside_an_item_nobodys_taste_is_spoken_of():
    query = replace(history_of(*LIKES_ODD), anchor=3)
    assert why(CATEGORY, UP, query) == ("Popular this month",)


def test_what_is_not_known_is_the_default_no_opinion_and_a_place_behind_all_others():
    names = ("user_age", "item_age_days", "pair_category_lift_all", "score_als", "rank_als", "pair_rank_best")
    expected = [30.0, 400.0, np.nan, np.nan, NOT_PROPOSED, NOT_PROPOSED]
    assert np.array_equal(absent_values(names, SCHEMAS), np.array(expected, np.float32), equal_nan=True)


def test_the_groups_of_a_row_sum_to_what_its_features_add():
    names = ("user_age", "item_age_days", "score_als", "rank_als", "score_of_our_own")
    ranker = LinearRanker(dict.fromkeys(names, 0.25), names, absent_values(names, SCHEMAS))
    values = np.array([[20, 3, 0.5, 1, 4], [70, 90, 1.5, 9, 2]], np.float32)
    groups = group_contributions(ranker.contributions(values), columns_by_group(names))
    assert groups.keys() == {Group.PERSON, Group.NEWNESS, Group.TASTE, Group.OTHERS}
    assert np.allclose(sum(groups.values()), ranker.contributions(values)[:, :-1].sum(axis=1))
