"""What every candidate generator promises, asked of each of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.artefact import load_meta, save_artefact
from contracts.errors import ArtefactError, ReleaseMismatch
from contracts.features import History
from contracts.id_map import IdMap
from contracts.settings.candidates import ALWAYS_THERE, WHERE_GIVEN
from recommender.allowed_items import AllowedItems
from recommender.catalogue import Catalogue
from recommender.generators.als import AlsGenerator
from recommender.generators.base import Generator
from recommender.generators.indexed import IndexedGenerator
from recommender.generators.own import own_classes
from recommender.generators.popular import PopularGenerator
from recommender.generators.sets import (
    GENERATOR_NAMES,
    KIND,
    fit_generators,
    kind_of,
    load_generator,
    load_generators,
    save_generators,
)
from recommender.index.vector_index import VectorIndex
from recommender.query import QueryBatch, RetrievalQuery
from recommender.ragged import RaggedItems
from recommender.slates.explanation import reasons
from tests.own_generator_page import in_own_project, own_references
from tests.recommender_worlds import (
    CANDIDATE_SETTINGS,
    CHECKERBOARD_END,
    CHECKERBOARD_ITEMS,
    FURTHER,
    INDEX_SETTINGS,
    checkerboard,
    checkerboard_generators,
    every_generator,
    gathered,
    proposed,
    scored,
)

with in_own_project():
    OWN = tuple(own_classes(own_references()))  # `trending` of docs/own-generator.md, and those of params.yaml
NAMES = (*GENERATOR_NAMES, *FURTHER, *OWN)
INDEXED = ("als through an exact index", "als through HNSW")
PERSONAL = (
    "als",
    *INDEXED,
    "content",
    "covisitation",
    "covisitation_max",
    "ease",
    "graph_filter",
    "similar_texts",
    "two_tower",
    *FURTHER,
)
ALL = (*NAMES, *INDEXED)
NOW = int(CHECKERBOARD_END.timestamp())


@pytest.fixture(autouse=True)
def _in_own_project() -> Iterator[None]:
    with in_own_project():
        yield


def generator_named(name: str) -> Generator:
    generators = checkerboard_generators()
    if name in generators:
        return generators[name]
    als = generators["als"]
    assert isinstance(als, AlsGenerator)
    exact_below = 1000 if name == "als through an exact index" else 1
    index_settings = INDEX_SETTINGS.model_copy(update={"kind": "hnsw", "exact_below": exact_below})
    return IndexedGenerator(als, VectorIndex.build(als.item_factors, checkerboard().catalogue.ids, index_settings))


@pytest.fixture(params=ALL)
def generator(request: pytest.FixtureRequest) -> Generator:
    return generator_named(request.param)


def test_every_generator_of_the_project_is_asked():
    assert set(checkerboard_generators()) == set(NAMES)
    assert set(GENERATOR_NAMES) == {*ALWAYS_THERE, *WHERE_GIVEN}


@pytest.mark.parametrize("name", PERSONAL)
def test_what_each_person_left_out_of_the_checkerboard_comes_first(name):
    generator = generator_named(name)
    for user_id, left_out in checkerboard().held_out.items():
        items, _ = proposed(generator, checkerboard().query(user_id), 3)
        assert items[0] == left_out, f"{name} for {user_id}"


def test_at_most_k_are_proposed_best_first_and_each_once(generator):
    for k in (1, 3, 100):
        items, scores = proposed(generator, checkerboard().query("u503"), k)
        assert len(items) <= k
        assert len(items) == len(scores) == len(set(items.tolist()))
        assert np.all(np.diff(scores) <= 0)


def test_equal_scores_come_in_the_order_of_the_index(generator):
    items, scores = proposed(generator, checkerboard().query("u503"), 100)
    equal = np.diff(scores) == 0
    assert np.all(np.diff(items)[equal] > 0)


def test_nothing_is_proposed_where_everything_is_excluded(generator):
    everything = np.arange(CHECKERBOARD_ITEMS, dtype=np.int32)
    items, _ = proposed(generator, replace(checkerboard().query("u503"), excluded=everything), 5)
    assert len(items) == 0


@given(excluded=st.sets(st.integers(0, CHECKERBOARD_ITEMS - 1)), k=st.integers(1, 15))
@settings(max_examples=20, deadline=None)
@pytest.mark.parametrize("name", ALL)
def test_what_is_excluded_is_never_proposed_and_frees_its_place_for_others(name, excluded, k):
    query = checkerboard().query("u504")
    without = replace(query, excluded=np.array(sorted(excluded), np.int32))
    items, _ = proposed(generator_named(name), without, k)
    everything, _ = proposed(generator_named(name), replace(query, excluded=np.empty(0, np.int32)), 100)
    assert items.tolist() == [item for item in everything.tolist() if item not in excluded][:k]


@given(allowed=st.sets(st.integers(0, CHECKERBOARD_ITEMS - 1)), k=st.integers(1, 15))
@settings(max_examples=20, deadline=None)
@pytest.mark.parametrize("name", ALL)
def test_what_is_not_allowed_is_never_proposed_and_frees_its_place_for_others(name, allowed, k):
    generator, query = generator_named(name), checkerboard().query("u504")
    filtered = QueryBatch.of([query], AllowedItems.of(np.isin(np.arange(CHECKERBOARD_ITEMS), list(allowed))))
    items, _ = generator.encode(filtered).propose(k).of_query(0)
    everything, _ = proposed(generator, query, 100)
    assert items.tolist() == [item for item in everything.tolist() if item in allowed][:k]


def test_under_a_filter_popular_also_proposes_what_nobody_has_touched_last():
    shares = np.array([0, 0.6, 0, 0.4], np.float32)
    popular, recent = (PopularGenerator(name, shares, "four") for name in ("popular", "popular_recent"))
    queries = QueryBatch.of([RetrievalQuery(NOW, excluded=np.array([2], np.int32))], AllowedItems.of(np.ones(4, bool)))
    assert popular.encode(queries).propose(4).item_idx.tolist() == [1, 3, 0]
    assert recent.encode(queries).propose(4).item_idx.tolist() == [1, 3]


def test_the_score_of_a_proposal_is_the_generators_score_of_that_item(generator):
    query = checkerboard().query("u506")
    items, scores = proposed(generator, query, 5)
    np.testing.assert_allclose(scored(generator, query, items), scores, rtol=1e-5)


def test_scores_are_aligned_with_the_items_whatever_their_order(generator):
    query = checkerboard().query("u506")
    items = np.array([7, 2, 11, 0], np.int32)
    scores = scored(generator, query, items)
    assert scores.shape == (4,)
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scored(generator, query, items[::-1]), scores[::-1])


def test_no_items_have_no_scores(generator):
    assert scored(generator, checkerboard().query("u506"), np.empty(0, np.int32)).shape == (0,)


def test_somebody_of_whom_nothing_is_known_gets_only_what_is_popular(generator):
    items, _ = proposed(generator, RetrievalQuery(NOW), 5)
    if generator.name.startswith("popular") and generator.name != "popular_segment":
        assert len(items) > 0
    elif generator.name not in OWN or not len(items):  # one of a team's own may be for everybody
        assert len(items) == 0
        assert np.isnan(scored(generator, RetrievalQuery(NOW), np.array([1, 2], np.int32))).all()


def test_items_unknown_to_the_release_count_for_nothing_in_a_history(generator):
    unknown = History.without_types(
        np.array([-1], np.int32), np.array([NOW - 5], np.int64), np.array([np.nan], np.float32)
    )
    query = checkerboard().query("u505")
    polluted = replace(query, history=unknown.followed_by(query.history))
    assert proposed(generator, polluted, 5)[0].tolist() == proposed(generator, query, 5)[0].tolist()
    only_unknown = replace(RetrievalQuery(NOW), history=unknown)
    if generator.name != "new_arrivals":  # goes by the time of the last event, whatever it was
        expected = proposed(generator, RetrievalQuery(NOW), 5)[0].tolist()
        assert proposed(generator, only_unknown, 5)[0].tolist() == expected


def test_asking_twice_gives_the_same_answer(generator):
    query = checkerboard().query("u511")
    first, second = proposed(generator, query, 6), proposed(generator, query, 6)
    assert [array.tobytes() for array in first] == [array.tobytes() for array in second]


def every_kind_of_query() -> list[RetrievalQuery]:
    """Of people with histories, long and short, of one beside an item, and of people of whom little is known."""
    world = checkerboard()
    several = [replace(world.query(f"u{500 + user}"), now=NOW + user) for user in range(24)]
    short = [replace(query, history=query.history.where(slice(0, 1))) for query in several[:3]]
    stated = RetrievalQuery(NOW, preferred_items=np.array([4, 7], np.int32), excluded=np.array([4, 7], np.int32))
    of_a_category = RetrievalQuery(NOW, preferred_categories=np.array([0, 1], np.float32))
    beside = replace(several[5], anchor=3)
    return [
        RetrievalQuery(NOW),
        *several,
        stated,
        beside,
        RetrievalQuery(NOW, segment={"gender": "F"}),
        of_a_category,
        *short,
    ]


@given(st.permutations(range(len(every_kind_of_query()))), st.integers(1, 40))
@settings(max_examples=15, deadline=None)
@pytest.mark.parametrize("name", ALL)
def test_a_query_is_answered_the_same_alone_and_in_any_batch_to_the_last_bit(name, order, n_together):
    generator, queries = generator_named(name), every_kind_of_query()
    chosen = order[:n_together]
    items = np.array([7, 2, 11, 0, 2], np.int32)
    allowed = None if n_together % 2 else AllowedItems.of(np.arange(CHECKERBOARD_ITEMS) % 3 > 0)
    together = generator.encode(QueryBatch.of([queries[number] for number in chosen], allowed))
    proposals, scores = together.propose(6), together.score(RaggedItems.of([items] * len(chosen)))
    for place, number in enumerate(chosen):
        alone = generator.encode(QueryBatch.of([queries[number]], allowed)).propose(6).of_query(0)
        assert [array.tobytes() for array in proposals.of_query(place)] == [array.tobytes() for array in alone]
        own = scores[place * len(items) : (place + 1) * len(items)]
        assert own.tobytes() == scored(generator, queries[number], items).tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_saved_and_loaded_it_proposes_the_same(name, tmp_path: Path):
    generator = checkerboard_generators()[name]
    generator.save(tmp_path / name)
    loaded = load_generator(tmp_path, name, checkerboard().catalogue, kind_of(generator_named(name)))
    query = checkerboard().query("u507")
    assert loaded.name == name
    assert loaded.catalogue_fingerprint == generator.catalogue_fingerprint
    loaded_again, fitted = proposed(loaded, query, 8), proposed(generator, query, 8)
    assert [array.tobytes() for array in loaded_again] == [array.tobytes() for array in fitted]


@pytest.mark.parametrize("name", NAMES)
def test_it_refuses_the_catalogue_of_another_build_and_prints_both(name, tmp_path: Path):
    checkerboard_generators()[name].save(tmp_path / name)
    other = replace(checkerboard().catalogue, ids=IdMap.of([f"x{item}" for item in range(CHECKERBOARD_ITEMS)]))
    with pytest.raises(ReleaseMismatch) as caught:
        load_generator(tmp_path, name, other, kind_of(generator_named(name)))
    expected = other.fingerprint if name == "content" else other.ids.fingerprint
    assert expected in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_is_an_error_and_never_an_answer(name, tmp_path: Path):
    checkerboard_generators()[name].save(tmp_path / name)
    array = min((tmp_path / name).glob("*.npy"))
    array.write_bytes(array.read_bytes()[:-3])
    with pytest.raises(ArtefactError, match="damaged"):
        load_generator(tmp_path, name, checkerboard().catalogue, kind_of(generator_named(name)))


def test_an_index_of_other_embeddings_is_refused_and_both_are_printed():
    als = checkerboard_generators()["als"]
    assert isinstance(als, AlsGenerator)
    index = VectorIndex.build(als.item_factors + 1, checkerboard().catalogue.ids, INDEX_SETTINGS)
    with pytest.raises(ReleaseMismatch) as caught:
        IndexedGenerator(als, index)
    assert als.embeddings_fingerprint in str(caught.value)
    assert index.embeddings_fingerprint in str(caught.value)


class TestSetsOfGenerators:
    def test_two_fits_of_the_same_data_are_the_same_build(self, tmp_path: Path):
        world = checkerboard()
        fresh = checkerboard_generators.__wrapped__()
        first = save_generators(tmp_path / "first", world.catalogue, checkerboard_generators())
        second = save_generators(tmp_path / "second", world.catalogue, fresh)
        assert first.fingerprint == second.fingerprint

    def test_what_was_saved_is_loaded(self, tmp_path: Path):
        meta = save_generators(tmp_path, checkerboard().catalogue, checkerboard_generators())
        loaded = load_generators(tmp_path)
        assert set(loaded.by_name) == set(NAMES)
        assert loaded.fingerprint == meta.fingerprint
        assert loaded.catalogue.fingerprint == checkerboard().catalogue.fingerprint

    def test_a_generator_that_is_off_is_neither_fitted_nor_stored(self, tmp_path: Path):
        world, settings = checkerboard(), CANDIDATE_SETTINGS.model_copy(update={"off": ("covisitation_max", "content")})
        generators = fit_generators(world.tables, world.catalogue, CHECKERBOARD_END, settings, seed=7)
        save_generators(tmp_path, world.catalogue, generators)
        assert set(load_generators(tmp_path).by_name) == set(ALWAYS_THERE) - {"covisitation_max", "content"}
        assert not (tmp_path / "content").exists()

    def test_a_part_of_another_build_is_refused(self, tmp_path: Path):
        save_generators(tmp_path, checkerboard().catalogue, checkerboard_generators())
        popular = checkerboard_generators()["popular"]
        replace(popular, shares=popular.shares * 2).save(tmp_path / "popular")
        with pytest.raises(ReleaseMismatch, match="popular is build"):
            load_generators(tmp_path)

    @pytest.mark.parametrize(
        ("kinds", "said"),
        [({}, "'covisitation_ever'; this"), ({"covisitation_ever": "oracle"}, "of kind 'oracle'; this")],
    )
    def test_a_generator_of_an_unknown_kind_is_refused(self, kinds: dict[str, str], said: str, tmp_path: Path):
        save_generators(tmp_path, checkerboard().catalogue, checkerboard_generators())
        meta = load_meta(tmp_path, KIND)
        save_artefact(tmp_path, KIND, built_with=meta.built_with, values={**meta.values, "kinds": kinds})
        with pytest.raises(ReleaseMismatch, match=said):
            load_generators(tmp_path)

    def test_an_unfinished_build_is_refused(self, tmp_path: Path):
        save_generators(tmp_path, checkerboard().catalogue, checkerboard_generators())
        (tmp_path / "meta.json").unlink()
        with pytest.raises(ArtefactError, match="missing or unfinished"):
            load_generators(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_a_catalogue_without_categories_is_one_all_the_same(name):
    items = checkerboard().tables.items.with_columns(categories=pl.lit([], pl.List(pl.String)))
    tables, catalogue = replace(checkerboard().tables, items=items), Catalogue.from_items(items)
    generator = every_generator(tables, catalogue)[name]
    query = checkerboard().query("u503")
    candidates = gathered({name: generator}, query, {name: 5}, 5)
    assert len(candidates) or name in ("content", "new_arrivals", "popular_returning")
    every = np.arange(len(candidates))
    assert len(reasons(catalogue, {name: generator}, QueryBatch.of([query]), candidates, every)) == len(candidates)
