from __future__ import annotations

import pkgutil
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

from contracts.errors import ShapeMismatch
from contracts.features import Entity, FeatureRows, FeatureSchema, FeatureSpec, History
from contracts.id_map import UNKNOWN
from recommender import on_demand
from recommender.candidates import CandidateSet
from recommender.catalogue import Catalogue
from recommender.on_demand import NAMES as COMPUTED
from recommender.on_demand import VIEWS, on_demand_names
from recommender.on_demand.release_years import SECONDS_PER_YEAR
from recommender.query import QueryBatch, RetrievalQuery
from recommender.ragged import RaggedItems
from recommender.ranking.ranking_features import assemble, feature_names
from tests.recommender_worlds import Schemas, checkerboard, feature_rows

NAMES = ("als", "popular")
CANDIDATES = CandidateSet(
    items=RaggedItems.of([np.array([4, 1, 0], np.int32)]),
    scores=np.array([[0.9, 0.1], [np.nan, 0.2], [0.3, 0.0]], np.float32),
    ranks=np.array([[1, 5], [11, 2], [2, 6]], np.float32),
    proposed=np.array([[True, False], [False, True], [True, False]]),
    sources=np.array([0, 1, 0], np.int32),
    names=NAMES,
)
SCHEMA = FeatureSchema(
    Entity.USER, (*Schemas().user.features, FeatureSpec("user_purchase_price_mean_365d", 0.0, 365.0))
)
USER = feature_rows([[12.0, 2.0]])
ONE = feature_rows([[12.0]])  # of somebody whose purchases the schema leaves out
ITEMS = feature_rows([[40.0, 4.0], [10.0, 3.0], [1.0, 2.0]])
DAY = 86_400
NOW = round(40 * SECONDS_PER_YEAR)  # the beginning of 2010


def query(*item_idx: int, **changes: object) -> RetrievalQuery:
    n_events = len(item_idx)
    times = np.arange(n_events) + NOW - 2 * DAY - n_events + 1
    history = History.without_types(np.array(item_idx, np.int32), times, np.full(n_events, np.nan, np.float32))
    return replace(RetrievalQuery(NOW, history), **changes)


def column(
    name: str,
    retrieval_query: RetrievalQuery,
    candidates: CandidateSet = CANDIDATES,
    world: Catalogue | None = None,
    user: FeatureRows = USER,
) -> list[float]:
    schemas = Schemas(user=SCHEMA)
    matrix = assemble(
        world or checkerboard().catalogue, QueryBatch.of([retrieval_query]), candidates, user, ITEMS, schemas
    )
    return matrix.values[:, matrix.names.index(name)].tolist()


def test_the_names_are_those_of_the_columns_and_none_comes_twice():
    matrix = assemble(checkerboard().catalogue, QueryBatch.of([query(2)]), CANDIDATES, ONE, ITEMS, Schemas())
    assert matrix.names == feature_names(Schemas(), NAMES)
    assert matrix.values.shape == (3, len(matrix.names))
    assert len(set(matrix.names)) == len(matrix.names)
    assert matrix.values.dtype == np.float32


def test_the_persons_features_are_in_every_row_and_the_items_in_their_own():
    assert column("user_event_count_total", query(2)) == [12, 12, 12]
    assert column("item_event_count_total", query(2)) == [40, 10, 1]
    assert column("item_value_mean_total", query(2)) == [4, 3, 2]


def test_what_the_generators_said_is_there_and_no_opinion_stays_unknown():
    np.testing.assert_allclose(column("score_als", query(2)), [0.9, np.nan, 0.3], rtol=1e-6)
    assert column("rank_popular", query(2)) == [5, 2, 6]
    assert column("pair_rank_best", query(2)) == [1, 2, 2]


def test_the_best_rank_is_among_those_who_proposed():
    # A generator with quota 0 proposes nothing, and its rank for everything is its quota + 1.
    silent = replace(CANDIDATES, ranks=CANDIDATES.ranks.copy())
    silent.ranks[:, 1] = 1
    assert column("pair_rank_best", query(2), silent) == [1, 1, 2]


def test_categories_are_compared_with_what_the_person_touched():
    # Half of the catalogue is even. Three even items: (3 + 10 * 0.5) / (3 + 10) of the taste is even.
    even, odd = (3 + 10 * 0.5) / 13, (10 * 0.5) / 13
    assert column("pair_category_affinity_all", query(2, 6, 8)) == pytest.approx([even, odd, even])
    assert column("pair_category_lift_all", query(2, 6, 8)) == pytest.approx([even / 0.5, odd / 0.5, even / 0.5])


def test_the_latest_events_tell_of_the_taste_of_now(monkeypatch):
    monkeypatch.setattr("recommender.on_demand.inputs.LATEST", 2)
    retrieval_query = query(1, 3, 5, 2, 6)
    even, odd = (2 + 10 * 0.5) / 12, (10 * 0.5) / 12
    assert column("pair_category_affinity_latest", retrieval_query) == pytest.approx([even, odd, even])
    assert column("pair_release_year_gap_latest", retrieval_query)[:2] == [2004 - 2004, 2001 - 2004]


def test_stated_categories_count_like_ten_events_of_them():
    # Columns are `even`, `odd`: (10 * 0.5 + 10) / 20 of the taste is odd.
    retrieval_query = query(preferred_categories=np.array([0, 1], np.float32))
    assert column("pair_category_affinity_all", retrieval_query) == pytest.approx([0.25, 0.75, 0.25])


def test_years_are_compared_with_now_and_with_what_the_person_touched():
    # Items 4, 1 and 0 are of 2004, of 2001 and of a year unknown; 2 and 6 are of 2002 and 2006.
    np.testing.assert_allclose(column("pair_release_age_years", query(2, 6)), [6, 9, np.nan], atol=0.01)
    np.testing.assert_allclose(column("pair_release_year_gap_all", query(2, 6)), [0, -3, np.nan])


def test_somebody_of_whom_nothing_is_known_is_unknown_and_not_zero():
    assert np.isnan(column("query_days_since_event", query())).all()
    assert np.isnan(column("pair_release_year_gap_all", query())).all()
    assert column("query_history_count", query()) == [0, 0, 0]


def test_days_are_counted_from_the_last_event():
    assert column("query_days_since_event", query(2, 6)) == pytest.approx([2, 2, 2])


def test_no_candidates_make_no_rows():
    none = replace(
        CANDIDATES,
        items=RaggedItems.of([np.empty(0, np.int32)]),
        **{name: getattr(CANDIDATES, name)[:0] for name in ("scores", "ranks", "proposed", "sources")},
    )
    empty_items = replace(ITEMS, values=ITEMS.values[:0], known=ITEMS.known[:0])
    assert (
        assemble(checkerboard().catalogue, QueryBatch.of([query(2)]), none, ONE, empty_items, Schemas()).values.shape[0]
        == 0
    )


def test_rows_that_are_not_as_many_as_the_candidates_are_refused():
    with pytest.raises(ShapeMismatch, match=r"item_rows has shape \(2, 2\)"):
        assemble(
            checkerboard().catalogue,
            QueryBatch.of([query(2)]),
            CANDIDATES,
            ONE,
            feature_rows([[1, 2], [3, 4]]),
            Schemas(),
        )
    with pytest.raises(ShapeMismatch, match=r"user_rows has shape \(1, 2\)"):
        assemble(
            checkerboard().catalogue, QueryBatch.of([query(2)]), CANDIDATES, feature_rows([[1, 2]]), ITEMS, Schemas()
        )


def test_every_feature_is_filled_by_somebody_in_a_session_where_items_have_prices_and_texts():
    minutes_later = query(2, 6, now=NOW - 2 * DAY + 300, segment={"device": "phone"})
    for name in COMPUTED:
        assert not np.isnan(column(name, minutes_later, segmented(), world=priced())[0]), name


def priced() -> Catalogue:
    """The checkerboard where item n costs n + 1, even items say one thing and odd ones another."""
    numbers = np.arange(12)
    content = np.zeros((12, 2), np.float32)
    content[numbers, numbers % 2] = 1
    return replace(checkerboard().catalogue, price=(numbers + 1).astype(np.float32), content=content)


def segmented() -> CandidateSet:
    """The candidates by what is popular: among everybody and among people alike; items 4, 1 and 0."""
    scores = np.array([[0.2, 0.4], [0.1, np.nan], [0.0, 0.3]], np.float32)
    return replace(CANDIDATES, scores=scores, names=("popular_recent", "popular_segment"))


def test_an_item_is_held_against_how_it_does_in_the_circumstances_that_the_request_tells():
    retrieval_query = query(2, segment={"device": "phone", "day_part": "evening"})
    np.testing.assert_allclose(
        column("context_item_lift", retrieval_query, segmented()), [np.log(0.4 / 0.2), np.nan, np.nan]
    )
    assert column("context_attribute_count", retrieval_query) == [2, 2, 2]
    assert column("context_attribute_count", query(2)) == [0, 0, 0]


def test_without_generators_of_popularity_nothing_is_known_of_an_item_in_its_circumstances():
    assert np.isnan(column("context_item_lift", query(2, segment={"device": "phone"}))).all()


def test_a_third_of_the_catalogue_by_price_is_held_against_the_thirds_that_the_person_touched():
    # Places of twelve items run from 0 to 11/11: 0 to 3 are cheap, 4 to 7 middling, 8 to 11 dear.
    retrieval_query = query(0, 3, 5, 8)
    assert column("pair_price_band_share_all", retrieval_query, world=priced()) == [1 / 4, 2 / 4, 2 / 4]
    assert column("query_price_share_cheap_all", retrieval_query, world=priced()) == [2 / 4] * 3
    assert column("query_price_share_dear_all", retrieval_query, world=priced()) == [1 / 4] * 3
    assert column("query_price_share_dear_all", query(11), world=priced()) == [1] * 3


def test_the_latest_items_tell_which_prices_are_wanted_now(monkeypatch):
    monkeypatch.setattr("recommender.on_demand.inputs.LATEST", 2)
    assert column("pair_price_band_share_latest", query(4, 5, 1, 0), world=priced()) == [0, 1, 1]


def test_what_has_no_price_is_of_no_third():
    world = priced()
    world.price[[4, 2]] = np.nan
    np.testing.assert_allclose(column("pair_price_band_share_all", query(2, 0, 1), world=world), [np.nan, 1, 1])
    assert np.isnan(column("pair_price_band_share_all", query(2), world=world)).all()
    assert np.isnan(column("query_price_share_cheap_all", query(), world=priced())).all()


def test_prices_are_compared_by_their_place_in_the_catalogue():
    # Of the eleven other items 4, 1 and 0 are cheaper than items 4, 1 and 0; items 2 and 6 have 2 and 6 below them.
    assert column("item_price_position", query(2), world=priced()) == pytest.approx([4 / 11, 1 / 11, 0])
    mean = (2 + 6) / 2 / 11
    expected = [4 / 11 - mean, 1 / 11 - mean, 0 - mean]
    assert column("pair_price_gap_all", query(2, 6), world=priced()) == pytest.approx(expected)


def test_a_price_is_compared_with_what_was_bought_only_where_something_is_known_of_that():
    assert column("pair_price_log_ratio_bought", query(2), world=priced()) == pytest.approx(
        np.log([5 / 2, 2 / 2, 1 / 2])
    )
    somebody_new = replace(USER, known=np.array([False]))
    assert np.isnan(column("pair_price_log_ratio_bought", query(2), world=priced(), user=somebody_new)).all()


def test_what_costs_nothing_is_not_compared_with_what_was_bought():
    world = priced()
    world.price[4] = 0
    np.testing.assert_allclose(
        column("pair_price_log_ratio_bought", query(2), world=world), [np.nan, np.log(2 / 2), np.log(1 / 2)]
    )


def test_texts_are_compared_with_the_mean_of_what_was_touched():
    # Two even items and an odd one point to (2, 1) / sqrt(5); the last one alone is odd.
    retrieval_query = query(2, 6, 3)
    even, odd = 2 / np.sqrt(5), 1 / np.sqrt(5)
    assert column("pair_content_similarity_all", retrieval_query, world=priced()) == pytest.approx([even, odd, even])
    assert column("pair_content_similarity_last", retrieval_query, world=priced()) == [0, 1, 0]


def test_what_says_nothing_is_like_nothing_and_not_unlike():
    assert np.isnan(column("pair_content_similarity_all", query(2))).all()
    assert np.isnan(column("pair_content_similarity_all", query(), world=priced())).all()


def test_days_since_a_category_are_those_of_its_last_item():
    # The last of three events is two days old, each earlier one a second older; nothing odd was touched before it.
    even, odd = 2 + 1 / DAY, 2
    retrieval_query = query(2, 6, 3)
    assert column("pair_category_recency_days_all", retrieval_query) == pytest.approx([even, odd, even], abs=1e-6)
    np.testing.assert_allclose(column("pair_category_recency_days_all", query(2)), [2, np.nan, 2])


def visited(*ages_minutes: float) -> RetrievalQuery:
    """Somebody who touched item 0, 1, 2, ... so many minutes ago."""
    times = np.array([NOW - round(60 * age) for age in ages_minutes], np.int64)
    items = np.arange(len(times), dtype=np.int32)
    return RetrievalQuery(NOW, History.without_types(items, times, np.full(len(times), np.nan, np.float32)))


@pytest.mark.parametrize(
    ("ages", "n_events", "minutes"),
    [
        ((), 0, np.nan),
        ((31,), 0, np.nan),
        ((30,), 1, 30),
        ((90, 20, 5), 2, 20),
        ((81, 51, 21), 3, 81),
        ((2880, 82, 51, 21), 2, 51),
    ],
)
def test_a_session_goes_back_to_the_last_pause_longer_than_half_an_hour(ages, n_events, minutes):
    retrieval_query = visited(*ages)
    assert column("session_event_count", retrieval_query) == [n_events] * 3
    np.testing.assert_array_equal(column("session_minutes_since_start", retrieval_query), [minutes] * 3)


def test_a_session_counts_its_categories_and_what_is_like_them_fits_it():
    # Items of one colour of the checkerboard share a category; item 0 was touched long ago.
    retrieval_query = visited(2880, 20, 5)
    assert column("session_category_count", retrieval_query) == [2] * 3
    assert column("session_category_count", visited(2880, 2879, 5)) == [1] * 3
    even, odd, same = column("pair_category_affinity_session", visited(2880, 2879, 5))
    assert (even, odd, same) == pytest.approx((1.0, 0.0, 1.0))
    assert column("pair_category_affinity_session", retrieval_query) == pytest.approx([0.5, 0.5, 0.5])
    assert np.isnan(column("pair_category_affinity_session", visited(2880))).all()


def test_an_item_that_the_release_does_not_know_is_of_no_category():
    # The last item of the catalogue is odd: nobody touched it, or any other odd one.
    np.testing.assert_allclose(
        column("pair_category_recency_days_all", query(2, UNKNOWN)), [2 + 1 / DAY, np.nan, 2 + 1 / DAY]
    )


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(on_demand.__path__)])
def test_the_views_of_every_module_are_in_the_list(name: str):
    declared = getattr(import_module(f"recommender.on_demand.{name}"), "VIEWS", ())
    assert all(view in VIEWS for view in declared), f"name {name} in recommender/on_demand/__init__.py"


def test_only_what_is_asked_for_is_computed_in_the_order_asked():
    names = ("pair_rank_best", "pair_category_lift_all", "query_history_count")
    matrix = assemble(checkerboard().catalogue, QueryBatch.of([query(2)]), CANDIDATES, ONE, ITEMS, Schemas(), names)
    assert matrix.names == feature_names(Schemas(), NAMES, names)
    for name in names:
        assert matrix.values[:, matrix.names.index(name)].tolist() == column(name, query(2))


def test_the_names_computed_are_found_among_those_of_a_ranker():
    assert on_demand_names(("item_price", "pair_rank_best", "score_als", "query_history_count")) == (
        "pair_rank_best",
        "query_history_count",
    )


def test_every_view_computed_at_the_request_says_whom_to_ask_and_what_it_is():
    assert len(COMPUTED) == len(set(COMPUTED))
    for view in VIEWS:
        assert view.owner
        assert view.description.endswith(".")
        assert all(view.features.values())


def test_a_catalogue_without_categories_has_every_other_feature():
    no_categories = {"category_offsets": np.zeros(13, np.int64), "category_idx": np.empty(0, np.int32)}
    bare = replace(checkerboard().catalogue, category_names=(), **no_categories)
    for name in COMPUTED:
        values = column(name, query(2, 6, now=NOW - 2 * DAY + 300), segmented(), world=bare)
        assert np.isnan(values).all() or not name.startswith(("pair_category_lift", "pair_category_recency")), name
    assert column("query_history_count", query(2, 6), world=bare) == [2, 2, 2]
