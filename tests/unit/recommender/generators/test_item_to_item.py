from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from contracts.events import EventType
from contracts.features import History
from contracts.id_map import UNKNOWN
from contracts.settings.candidates import CandidateSettings, CovisitationSettings, ItemToItemSettings
from contracts.tables import INTERACTIONS_SCHEMA
from recommender.catalogue import Catalogue
from recommender.generators.als import AlsGenerator
from recommender.generators.item_to_item import ItemToItemGenerator, Pooling
from recommender.generators.neighbours import (
    fit_covisitation,
    fit_covisitation_max,
    fit_item_to_item,
    fit_next_visit,
    generator_of_pairs,
)
from recommender.generators.pair_weights import PairWeights, TouchedBy
from recommender.generators.sets import fit_generators, fit_one
from recommender.interactions import Interactions
from recommender.query import QueryBatch, RetrievalQuery
from recommender.ragged import RaggedItems
from tests.recommender_worlds import (
    CANDIDATE_SETTINGS,
    CHECKERBOARD_END,
    CHECKERBOARD_ITEMS,
    START,
    checkerboard,
    checkerboard_generators,
    interactions,
    proposed,
    scored,
)

SETTINGS = CANDIDATE_SETTINGS.covisitation
NOW = START.timestamp() + 10 * 86_400


def catalogue() -> Catalogue:
    return checkerboard().catalogue


def weight(generator: ItemToItemGenerator, source: int, neighbour: int) -> float:
    history = History.without_types(np.array([source], np.int32), np.array([0]), np.array([np.nan], np.float32))
    return float(scored(generator, RetrievalQuery(1, history), np.array([neighbour], np.int32))[0])


def test_covisitation_max_is_the_co_occurrence_damped_by_length_and_mass():
    fitted = fit_covisitation_max(
        interactions(("a", 0, 1), ("a", 1, 2), ("b", 0, 1), ("b", 1, 1), ("b", 2, 3)), catalogue(), SETTINGS
    )
    # 0 and 1 go together in a history of two and in one of three; both have mass 2 + 5. 2 has mass 1 + 5.
    assert weight(fitted, 0, 1) == pytest.approx((1 / 2**0.5 + 1 / 3**0.5) / ((2 + 5) ** 0.5 * (2 + 5) ** 0.5))
    assert weight(fitted, 0, 2) == pytest.approx((1 / 3**0.5) / ((2 + 5) ** 0.5 * (1 + 5) ** 0.5))


def test_covisitation_counts_what_was_touched_of_late_for_more():
    fitted = fit_covisitation(
        interactions(("a", 0, 10), ("a", 1, 10), ("b", 2, 4), ("b", 3, 4)), catalogue(), NOW, SETTINGS
    )
    old = np.exp(-6 / 60)  # six days before now, at a decay of sixty
    assert weight(fitted, 0, 1) == pytest.approx(1 / 2**0.3 / (1 + 5))
    assert weight(fitted, 2, 3) == pytest.approx(old * old / 2**0.3 / (old * old + 5))


def test_an_item_touched_twice_counts_once():
    once = fit_covisitation_max(interactions(("a", 0, 1), ("a", 1, 2)), catalogue(), SETTINGS)
    twice = fit_covisitation_max(interactions(("a", 0, 1), ("a", 1, 2), ("a", 1, 3)), catalogue(), SETTINGS)
    assert weight(once, 0, 1) == weight(twice, 0, 1)


def test_next_visit_speaks_for_what_people_came_back_for_and_not_for_what_they_did_together():
    fitted = fit_next_visit(interactions(("a", 0, 1), ("a", 1, 1.1), ("a", 2, 5)), catalogue(), NOW, SETTINGS)
    # The second visit is five days old, and its two earlier items share its weight by 1 / sqrt(2).
    assert weight(fitted, 0, 2) == pytest.approx(np.exp(-5 / 60) / 2**0.5 / (1 + 10))
    assert weight(fitted, 0, 1) == 0
    assert weight(fitted, 2, 0) == 0


@pytest.mark.parametrize(("pause_hours", "is_next_visit"), [(11.99, False), (12, False), (12.01, True)])
def test_a_visit_ends_after_a_pause_longer_than_the_gap(pause_hours, is_next_visit):
    fitted = fit_next_visit(interactions(("a", 0, 1), ("a", 1, 1 + pause_hours / 24)), catalogue(), NOW, SETTINGS)
    assert (weight(fitted, 0, 1) > 0) == is_next_visit


def test_the_mean_and_the_max_pool_what_the_items_of_a_history_say():
    rows = interactions(("a", 0, 1), ("a", 2, 1), ("b", 1, 1), ("b", 2, 1), ("c", 1, 1), ("c", 2, 1))
    both = History.without_types(np.array([0, 1], np.int32), np.array([0, 1]), np.array([np.nan, np.nan], np.float32))
    for fit, pool in ((fit_covisitation_max, max), (lambda *args: fit_covisitation(*args[:2], NOW, args[2]), None)):
        fitted = fit(rows, catalogue(), SETTINGS)
        said = [weight(fitted, 0, 2), weight(fitted, 1, 2)]
        pooled = scored(fitted, RetrievalQuery(2, both), np.array([2], np.int32))[0]
        assert pooled == pytest.approx(pool(said) if pool else sum(said) / 2)


def test_only_the_nearest_neighbours_are_kept_ties_by_index():
    narrow = CovisitationSettings(**{**SETTINGS.model_dump(), "n_neighbours": 2})
    rows = interactions(*[("a", item, 1) for item in range(5)], ("b", 0, 1), ("b", 4, 1))
    fitted = fit_covisitation_max(rows, catalogue(), narrow)
    near = fitted.neighbours[fitted.starts[0] : fitted.starts[1]]
    assert near.tolist() == [1, 4]  # 4 goes with 0 twice; 1, 2 and 3 once each


def test_the_item_that_speaks_most_for_a_candidate_is_named():
    rows = interactions(("a", 0, 1), ("a", 2, 1), ("b", 1, 1), ("b", 2, 1), ("c", 1, 1), ("c", 2, 1))
    fitted = fit_covisitation_max(rows, catalogue(), SETTINGS)
    history = History.without_types(
        np.array([0, 1], np.int32), np.array([0, 1]), np.array([np.nan, np.nan], np.float32)
    )
    encoded = fitted.encode(QueryBatch.of([RetrievalQuery(2, history)]))
    assert encoded.because(RaggedItems.of([np.array([2, 7], np.int32)])).tolist() == [1, UNKNOWN]


@given(
    st.lists(st.lists(st.integers(0, 11), max_size=6), min_size=1, max_size=4),
    st.integers(0, 99),
    st.sampled_from([1.0, 0.5]),
)
def test_pooling_many_histories_is_what_a_walk_over_each_of_them_gives(histories, seed, step_weight):
    rng = np.random.default_rng(seed)
    pairs = csr_matrix(np.where(rng.random((12, 12)) < 0.4, rng.random((12, 12)), 0) * (1 - np.eye(12)))
    queries = QueryBatch.of([RetrievalQuery(0, preferred_items=np.array(items, np.int32)) for items in histories])
    for pooling in Pooling:
        fitted = generator_of_pairs(
            "pairs", PairWeights(TouchedBy(csr_matrix(np.eye(12))), pairs), pooling, catalogue(), SETTINGS
        )
        encoded = replace(fitted, step_weight=step_weight).encode(queries)
        every = RaggedItems.of([np.arange(12, dtype=np.int32)] * len(queries))
        scores = encoded.score(every).reshape(len(queries), 12)
        because = encoded.because(every).reshape(len(queries), 12)
        for row in range(len(queries)):
            taste = queries.taste_items[row].tolist()
            for item in range(12):
                said = [np.float32(pairs[source, item]) for source in taste]
                if not taste:
                    assert np.isnan(scores[row, item])
                    continue
                best = max(said)
                steps = [step_weight**back for back in reversed(range(len(taste)))]
                weighted = [step * float(weight) for step, weight in zip(steps, said, strict=True)]
                pooled = max(weighted) if pooling is Pooling.MAX else sum(weighted) / sum(steps)
                latest = [source for source, weight in zip(taste, said, strict=True) if weight == best][-1]
                assert scores[row, item] == pytest.approx(float(pooled), rel=1e-6)
                assert because[row, item] == (latest if best else UNKNOWN)


def among_many_items(generator: ItemToItemGenerator, n_items: int) -> ItemToItemGenerator:
    """The same generator where each table has fewer slots than there are items."""
    starts = np.append(generator.starts, np.full(n_items - len(generator.starts) + 1, generator.starts[-1]))
    return replace(generator, starts=starts)


def test_what_is_said_is_the_same_in_a_catalogue_of_few_items_and_of_many():
    queries = QueryBatch.of([checkerboard().query(f"u{500 + user}") for user in range(24)])
    items = RaggedItems.of([np.arange(len(checkerboard().catalogue), dtype=np.int32)] * len(queries))
    for name in ("covisitation", "covisitation_max", "next_visit"):
        generator = checkerboard_generators()[name]
        few, many = (each.encode(queries) for each in (generator, among_many_items(generator, 1_000_003)))
        for proposals in (few.propose(5), many.propose(5)):
            assert proposals.item_idx.tobytes() == few.propose(5).item_idx.tobytes()
            assert proposals.scores.tobytes() == few.propose(5).scores.tobytes()
        assert many.score(items).tobytes() == few.score(items).tobytes()


def test_no_events_at_all_give_a_generator_that_says_nothing():
    nothing = interactions()
    for fitted in (
        fit_covisitation(nothing, catalogue(), NOW, SETTINGS),
        fit_covisitation_max(nothing, catalogue(), SETTINGS),
        fit_next_visit(nothing, catalogue(), NOW, SETTINGS),
    ):
        assert len(proposed(fitted, checkerboard().query("u501"), 5)[0]) == 0


def test_pairs_multiplied_out_for_few_items_at_a_time_have_the_same_neighbours(monkeypatch):
    world = checkerboard()
    events = Interactions.of(world.tables.interactions, world.catalogue.ids)
    fits = []
    for at_once in (10**9, 20, 1):
        monkeypatch.setattr("recommender.generators.pair_weights.MOST_PAIRS_AT_ONCE", at_once)
        for fit in (fit_covisitation, fit_next_visit):
            fitted = fit(events, catalogue(), NOW + 20 * 86_400, SETTINGS)
            fits.append((fitted.name, fitted.starts.tobytes(), fitted.neighbours.tobytes(), fitted.weights.tobytes()))
    assert len(set(fits)) == 2


@given(
    weights=st.lists(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=9, max_size=9), min_size=9, max_size=9),
    n_neighbours=st.integers(1, 3),
)
def test_the_nearest_are_those_of_a_sort_of_every_pair(weights, n_neighbours):
    table = np.array(weights)
    nearest = PairWeights(TouchedBy(csr_matrix(np.eye(9))), csr_matrix(table)).nearest(n_neighbours)
    for item, row in enumerate(table):
        by_weight = sorted((-weight, other) for other, weight in enumerate(row) if weight > 0 and other != item)
        found, scores = nearest.of_query(item)
        assert list(zip((-scores).tolist(), found.tolist(), strict=True)) == by_weight[:n_neighbours]


def test_weights_of_pairs_are_those_of_a_sparse_product_to_the_bit():
    rng = np.random.default_rng(3)
    by_person = csr_matrix(rng.random((40, 30)) * (rng.random((40, 30)) < 0.4))
    row_scale, column_scale = rng.random(30), rng.random(30)
    product = (by_person.T @ by_person).toarray() * row_scale[:, None] * column_scale
    pairs = PairWeights(TouchedBy(csr_matrix(by_person.T)), by_person, row_scale, column_scale).nearest(5)
    for item, weights in enumerate(product.astype(np.float32)):
        found, scores = pairs.of_query(item)
        assert np.array_equal(scores, weights[found])
        assert np.array_equal(found, [other for other in np.argsort(-weights) if other != item][:5])


def test_of_what_a_person_did_with_an_item_the_largest_weight_counts():
    world = checkerboard()
    twice = pl.concat([world.tables.interactions, world.tables.interactions[:30]])
    events = Interactions.of(twice, world.catalogue.ids)
    weights = np.random.default_rng(3).random(len(events))
    largest: dict[tuple[int, int], float] = {}
    for user, item, weight in zip(events.user_idx.tolist(), events.item_idx.tolist(), weights.tolist(), strict=True):
        largest[user, item] = max(weight, largest.get((user, item), 0))
    touched = events.touched(CHECKERBOARD_ITEMS, weights)
    assert touched.has_canonical_format
    assert dict(zip(zip(*touched.nonzero(), strict=True), touched.data.tolist(), strict=True)) == largest
    assert len(largest) < len(events)


def test_neighbours_and_factors_are_the_same_whatever_the_number_of_cores(monkeypatch):
    world = checkerboard()
    events = Interactions.of(world.tables.interactions, world.catalogue.ids)
    monkeypatch.setattr("recommender.generators.pair_weights.MOST_PAIRS_AT_ONCE", 20)
    fits = set()
    for n_cores in (1, 3):
        for module in ("contracts.cores", "recommender.generators.als", "recommender.generators.pair_weights"):
            monkeypatch.setattr(f"{module}.n_cores", lambda n_cores=n_cores: n_cores)
        near = fit_covisitation_max(events, catalogue(), SETTINGS)
        als = AlsGenerator.fit(events, catalogue(), CANDIDATE_SETTINGS.als, seed=7)
        fits.add((near.neighbours.tobytes(), near.weights.tobytes(), als.embeddings_fingerprint))
    assert len(fits) == 1


def test_each_generator_weighs_by_steps_back_as_its_own_parameter_says():
    changed = CandidateSettings.model_validate(
        CANDIDATE_SETTINGS.model_dump()
        | {"covisitation": {**SETTINGS.model_dump(), "step_weight": 0.8}, "next_visit": {"step_weight": 0.95}}
    )
    world = checkerboard()
    generators = fit_generators(world.tables, world.catalogue, CHECKERBOARD_END, changed, seed=7)
    weights = {name: one.step_weight for name, one in generators.items() if isinstance(one, ItemToItemGenerator)}
    assert weights == {"covisitation": 0.8, "covisitation_max": 1.0, "next_visit": 0.95}


def test_a_generator_of_event_types_goes_from_what_is_done_with_one_item_to_what_is_done_with_the_other():
    rows = [("a", 0, "view"), ("a", 1, "add_to_cart"), ("b", 0, "view"), ("b", 1, "view"), ("b", 2, "add_to_cart")]
    table = pl.DataFrame(
        [(user, f"i{100 + item}", kind, START, None, None, None) for user, item, kind in rows],
        schema=INTERACTIONS_SCHEMA,
        orient="row",
    )
    own = ItemToItemSettings(from_events=(EventType.VIEW,), to_events=(EventType.ADD_TO_CART,))
    events = Interactions.of(table, catalogue().ids)
    fitted = fit_item_to_item("viewed_then_taken", events, catalogue(), NOW, SETTINGS, own)
    # Two people viewed 0; each took one thing, so no history is long. 1 and 2 were taken by one each.
    assert weight(fitted, 0, 1) == pytest.approx(1 / ((2 + 5) ** 0.5 * (1 + 5) ** 0.5))
    assert weight(fitted, 1, 2) == pytest.approx(1 / ((1 + 5) ** 0.5 * (1 + 5) ** 0.5))
    assert weight(fitted, 1, 0) == weight(fitted, 2, 1) == 0  # 0 was never taken, and 2 never viewed


def test_a_generator_without_decay_counts_what_was_long_ago_as_today():
    events = interactions(("a", 0, 1), ("a", 1, 9))
    for_ever, of_late = (
        fit_item_to_item(
            "any", events, catalogue(), NOW + days * 86_400, SETTINGS, ItemToItemSettings(decay_days=decay)
        )
        for decay, days in ((None, 300), (30, 300))
    )
    assert weight(for_ever, 0, 1) == pytest.approx(1 / 2**0.3 / (1 + 5))
    assert weight(of_late, 0, 1) < 1e-3 * weight(for_ever, 0, 1)


def in_order(*rows, **own) -> ItemToItemGenerator:
    settings = ItemToItemSettings(history_damping=0, neighbour_damping=0, **own)
    return fit_item_to_item("in_order", interactions(*rows), catalogue(), NOW, SETTINGS, settings)


def test_in_order_a_pair_counts_by_the_steps_between_and_by_which_came_first():
    fitted = in_order(
        ("a", 0, 1), ("a", 1, 2), ("a", 2, 3), ("b", 0, 1), ("b", 2, 2),
        apart_weight=0.5, before_weight=0.25, length_power=1.0,
    )  # fmt: skip
    # a goes from 0 to 1 and on to 2, in a history of three; b from 0 to 2, in one of two.
    assert weight(fitted, 0, 1) == pytest.approx(1 / 3)
    assert weight(fitted, 0, 2) == pytest.approx(0.5 / 3 + 1 / 2)
    assert weight(fitted, 2, 1) == pytest.approx(0.25 / 3)
    assert weight(fitted, 2, 0) == pytest.approx(0.25 * (0.5 / 3 + 1 / 2))


def test_in_order_every_time_counts_and_what_never_came_after_says_nothing():
    fitted = in_order(("a", 0, 1), ("a", 1, 2), ("a", 0, 3), ("a", 1, 4), before_weight=0, length_power=0)
    # After the first 0 there are two of 1, after the second one; after the first 1 there is one of 0.
    assert weight(fitted, 0, 1) == pytest.approx(2 + 1)
    assert weight(fitted, 1, 0) == pytest.approx(1)
    assert weight(fitted, 1, 1) == 0


def test_in_order_what_is_too_far_apart_to_count_is_not_looked_at():
    rows = [("a", 0, 1), *(("a", 5, 2 + step) for step in range(9)), ("a", 1, 11)]
    assert weight(in_order(*rows, apart_weight=0.5, before_weight=0), 0, 1) > 0  # ten steps: 1 / 512
    rows[1:1] = [("a", 5, 1.5)]
    assert weight(in_order(*rows, apart_weight=0.5, before_weight=0), 0, 1) == 0  # eleven: 1 / 1024


def test_in_order_types_of_event_and_their_age_count_as_they_do_together():
    rows = [("a", 0, "view"), ("a", 1, "view"), ("a", 2, "purchase")]
    table = pl.DataFrame(
        [
            (user, f"i{100 + item}", kind, START + timedelta(days=place), None, None, None)
            for place, (user, item, kind) in enumerate(rows)
        ],
        schema=INTERACTIONS_SCHEMA,
        orient="row",
    )
    own = ItemToItemSettings(
        apart_weight=0.5, history_damping=0, neighbour_damping=0, length_power=0, decay_days=10,
        from_events=(EventType.VIEW,), to_events=(EventType.PURCHASE,),
    )  # fmt: skip
    fitted = fit_item_to_item("bought", Interactions.of(table, catalogue().ids), catalogue(), NOW, SETTINGS, own)
    # The viewed ones are ten and nine days old, what was bought eight.
    assert weight(fitted, 0, 2) == pytest.approx(0.5 * np.exp(-(10 + 8) / 10))
    assert weight(fitted, 1, 2) == pytest.approx(np.exp(-(9 + 8) / 10))
    assert weight(fitted, 0, 1) == weight(fitted, 2, 0) == 0


def test_the_same_without_order_where_both_weights_are_1_and_nothing_is_touched_twice():
    world = checkerboard()
    events = Interactions.of(world.tables.interactions, world.catalogue.ids)
    powers = {"history_damping": 0.6, "neighbour_damping": 0.2, "length_power": 0.7}
    together, nearly = (
        fit_item_to_item("one", events, catalogue(), NOW, SETTINGS, ItemToItemSettings(**powers, before_weight=before))
        for before in (1.0, 1 - 1e-12)
    )
    assert nearly.neighbours.tolist() == together.neighbours.tolist()
    np.testing.assert_allclose(nearly.weights, together.weights, rtol=1e-6)
    assert together.weights.tolist() != checkerboard_generators()["covisitation_ever"].weights.tolist()


def test_pairs_in_order_multiplied_out_for_few_items_at_a_time_have_the_same_neighbours(monkeypatch):
    world = checkerboard()
    events = Interactions.of(world.tables.interactions, world.catalogue.ids)
    own, fits = ItemToItemSettings(apart_weight=0.8, before_weight=0.5), set()
    for at_once in (10**9, 20, 1):
        monkeypatch.setattr("recommender.generators.pair_weights.MOST_PAIRS_AT_ONCE", at_once)
        fitted = fit_item_to_item("one", events, catalogue(), NOW, SETTINGS, own)
        fits.add((fitted.neighbours.tobytes(), fitted.weights.tobytes()))
    assert len(fits) == 1


def test_one_generator_is_fitted_as_it_is_among_all():
    world = checkerboard()
    every = fit_generators(world.tables, world.catalogue, CHECKERBOARD_END, CANDIDATE_SETTINGS, seed=7)
    alone = fit_one("next_visit", world.tables, world.catalogue, CHECKERBOARD_END, CANDIDATE_SETTINGS, seed=7)
    among = every["next_visit"]
    assert isinstance(alone, ItemToItemGenerator)
    assert isinstance(among, ItemToItemGenerator)
    assert alone.weights.tobytes() == among.weights.tobytes()
