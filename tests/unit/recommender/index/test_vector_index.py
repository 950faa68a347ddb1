from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.artefact import save_artefact
from contracts.errors import ArtefactError, DataTooSmall, ReleaseMismatch, ShapeMismatch
from contracts.id_map import IdMap
from pipelines.index import best_index, check_recall
from recommender.allowed_items import AllowedItems
from recommender.index import by_length, saved_searcher, vector_index
from recommender.index.recall import with_recall
from recommender.index.searchers import kind_for
from recommender.index.vector_index import KIND, VectorIndex
from recommender.proposals import best_of_one
from recommender.ragged import RaggedItems, dot_by_row
from tests.recommender_worlds import INDEX_SETTINGS

N_ITEMS, DIM = 700, 8
EXACT = INDEX_SETTINGS.model_copy(update={"exact_below": N_ITEMS + 1})
BY_LENGTH = INDEX_SETTINGS.model_copy(update={"kind": "by_length", "exact_below": 10})
HNSW = INDEX_SETTINGS.model_copy(update={"kind": "hnsw", "exact_below": 10})
IDS = IdMap.of(f"i{1000 + item}" for item in range(N_ITEMS))
VECTORS = np.random.default_rng(11).normal(size=(N_ITEMS, DIM)).astype(np.float32)


def nearest(
    index: VectorIndex, vector: np.ndarray, k: int, excluded: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The items near one vector, and their scores."""
    without = None if excluded is None else RaggedItems.of([excluded])
    return index.search(vector[None, :], k, without).of_query(0)


@cache
def of_kind(kind: str) -> VectorIndex:
    settings = EXACT if kind == "flat" else HNSW.model_copy(update={"kind": kind, "ivf_probes": 8})
    return VectorIndex.build(VECTORS, IDS, settings)


@pytest.fixture(params=["flat", "by_length", "hnsw", "ivf_flat", "ivf_sq8", "ivf_pq"])
def index(request: pytest.FixtureRequest) -> VectorIndex:
    built = of_kind(request.param)
    assert built.kind == request.param
    return built


@pytest.mark.parametrize(
    ("n_vectors", "changes", "kind"),
    [
        (999, {}, "flat"),
        (1000, {}, "ivf_sq8"),
        (999, {"kind": "ivf_pq"}, "flat"),
        (1000, {"kind": "ivf_pq"}, "ivf_pq"),
        (5000, {"kind": "hnsw"}, "hnsw"),
        (600, {"kind": "ivf_flat", "exact_below": 1}, "flat"),  # too few to divide into lists
    ],
)
def test_few_vectors_are_searched_exactly_and_many_by_the_kind_that_is_said(n_vectors, changes, kind):
    assert kind_for(n_vectors, INDEX_SETTINGS.model_copy(update=changes)) == kind


@given(st.integers(1, 40), st.sampled_from([0.003, 0.1, 0.7, 1.0]), st.integers(0, 99), st.booleans())
@settings(max_examples=30, deadline=None)
@pytest.mark.parametrize("kind", ["flat", "by_length", "hnsw", "ivf_flat", "ivf_sq8", "ivf_pq"])
def test_among_few_allowed_items_every_kind_finds_the_best_of_them(kind, k, share, seed, excluding):
    rng = np.random.default_rng(seed)
    query, mask = rng.normal(size=DIM).astype(np.float32), rng.random(N_ITEMS) < share
    excluded = np.flatnonzero(rng.random(N_ITEMS) < 0.1 * excluding).astype(np.int32)
    scores = np.where(mask, dot_by_row(VECTORS, np.tile(query, (N_ITEMS, 1))), np.nan).astype(np.float32)
    scores[excluded] = np.nan
    expected, _ = best_of_one(np.arange(N_ITEMS, dtype=np.int32), scores, k)
    without, allowed = RaggedItems.of([excluded]), AllowedItems.of(mask)
    assert of_kind(kind).search(query[None, :], k, without, allowed=allowed).item_idx.tolist() == expected.tolist()


@pytest.mark.parametrize("kind", ["hnsw", "ivf_flat", "ivf_sq8", "ivf_pq"])
def test_among_many_allowed_items_the_index_finds_k_of_them_and_most_of_the_best(kind, monkeypatch):
    monkeypatch.setattr(vector_index, "EXACT_AMONG", 10)
    allowed = AllowedItems.of(np.arange(N_ITEMS) % 3 == 0)
    built = replace(of_kind(kind), embeddings_fingerprint="its own")  # nothing is kept of another test
    for row in range(20):
        found, _ = built.search(VECTORS[row : row + 1], 10, allowed=allowed).of_query(0)
        assert len(found) == 10
        assert allowed.contains(found).all()
    fresh = AllowedItems.of(np.arange(N_ITEMS) % 3 == 0)
    assert with_recall(built, VECTORS, VECTORS[:20], 10, {"a third": fresh}).recall_among["a third"] > 0.9


def test_few_bits_lose_little_and_what_they_find_is_scored_by_the_vectors_themselves():
    exact = of_kind("flat")
    for kind, most in (("ivf_sq8", 0.001), ("ivf_pq", 0.2)):
        built = of_kind(kind)
        assert 0 < built.error < most
        items, scores = nearest(built, VECTORS[5], 10)
        assert items[0] == nearest(exact, VECTORS[5], 1)[0][0]
        np.testing.assert_array_equal(scores, dot_by_row(VECTORS[items], np.tile(VECTORS[5], (10, 1))))


def test_an_index_of_other_vectors_is_refused_whatever_it_says(index):
    index.check_vectors(VECTORS)
    turned = VECTORS[:, ::-1].copy()
    with pytest.raises(ReleaseMismatch, match="but its vectors are"):
        index.check_vectors(turned)


def test_without_its_vectors_an_index_cannot_look_at_items_one_by_one():
    bare = replace(of_kind("hnsw"), item_vectors=None)
    with pytest.raises(ShapeMismatch, match="without the vectors it was built from"):
        bare.search(VECTORS[:1], 3, allowed=AllowedItems.of(np.ones(N_ITEMS, bool)))


def test_a_large_index_is_mapped_and_finds_the_same(index, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(saved_searcher, "MAPPED_FROM_BYTES", 0)
    index.save(tmp_path)
    mapped = VectorIndex.load(tmp_path, IDS).with_vectors(VECTORS)
    assert str(tmp_path / "index.faiss") in Path("/proc/self/maps").read_text()
    index.save(tmp_path)  # whoever has mapped it keeps what was there
    for query in VECTORS[:5]:
        assert nearest(mapped, query, 7)[0].tolist() == nearest(index, query, 7)[0].tolist()
    (tmp_path / "index.faiss").write_bytes(b"IxFI" + b"\xff" * 200)
    with pytest.raises(ArtefactError, match="damaged"):
        VectorIndex.load(tmp_path, IDS)


@given(st.integers(1, 40), st.sets(st.integers(0, N_ITEMS - 1), max_size=60), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_the_exact_index_finds_what_the_slow_search_finds(k, excluded, seed):
    query = np.random.default_rng(seed).normal(size=DIM).astype(np.float32)
    without = np.array(sorted(excluded), np.int32)
    scores = VECTORS @ query
    scores[without] = np.nan
    slow_items, slow_scores = best_of_one(np.arange(N_ITEMS, dtype=np.int32), scores, k)
    items, their_scores = nearest(VectorIndex.build(VECTORS, IDS, EXACT), query, k, without)
    assert items.tolist() == slow_items.tolist()
    np.testing.assert_allclose(their_scores, slow_scores, rtol=1e-4)


def test_what_is_excluded_is_not_found_even_where_it_is_all_that_is_near(index):
    query = VECTORS[0]
    near, _ = nearest(index, query, 200)
    further, _ = nearest(index, query, 10, np.sort(near))
    assert len(further) == 10
    assert not set(further.tolist()) & set(near.tolist())


def test_what_is_near_a_vector_does_not_depend_on_those_it_is_searched_with(index):
    excluded = RaggedItems.of([np.arange(7 * row, dtype=np.int32) for row in range(40)])
    together = index.search(VECTORS[:40], 10, excluded)
    for row in range(40):
        alone = index.search(VECTORS[row : row + 1], 10, RaggedItems.of([excluded[row]]))
        assert together.of_query(row)[0].tobytes() == alone.item_idx.tobytes()
        assert together.of_query(row)[1].tobytes() == alone.scores.tobytes()


def test_recall_is_the_share_of_the_exact_answer_that_is_found():
    queries = VECTORS[:20]
    assert with_recall(VectorIndex.build(VECTORS, IDS, EXACT), VECTORS, queries, 10).recall == 1.0
    # A graph of few links, searched carelessly, misses some; the measure must see it.
    careless = HNSW.model_copy(update={"hnsw_links": 4, "hnsw_ef_construction": 8, "hnsw_ef_search": 8})
    assert 0.1 < with_recall(VectorIndex.build(VECTORS, IDS, careless), VECTORS, queries, 10).recall < 1.0
    assert with_recall(VectorIndex.build(VECTORS, IDS, HNSW), VECTORS, queries, 10).recall > 0.95


def test_nobody_to_measure_with_is_an_error(index):
    with pytest.raises(DataTooSmall):
        with_recall(index, VECTORS, np.empty((0, DIM), np.float32), 10)


def test_items_without_a_vector_are_not_in_the_index():
    vectors = VECTORS.copy()
    vectors[[3, 7]] = 0
    items, _ = nearest(VectorIndex.build(vectors, IDS, EXACT), VECTORS[3], N_ITEMS)
    assert len(items) == N_ITEMS - 2
    assert not {3, 7} & set(items.tolist())


def test_equal_input_gives_equal_bytes(index, tmp_path: Path):
    of_kind.cache_clear()
    again = of_kind(index.kind)
    assert index.save(tmp_path / "one").fingerprint == again.save(tmp_path / "two").fingerprint


def test_many_threads_do_not_change_the_graph_and_are_given_back():
    vectors = np.random.default_rng(1).normal(size=(4000, 8)).astype(np.float32)
    ids = IdMap.of(f"i{item}" for item in range(4000))
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(4)
    try:
        graphs = {faiss.serialize_index(VectorIndex.build(vectors, ids, HNSW).searcher).tobytes() for _ in range(3)}
        assert faiss.omp_get_max_threads() == 4
    finally:
        faiss.omp_set_num_threads(before)
    assert len(graphs) == 1


def test_saved_and_loaded_it_finds_the_same(index, tmp_path: Path):
    with_recall(index, VECTORS, VECTORS[:5], 10).save(tmp_path)
    loaded = VectorIndex.load(tmp_path, IDS).with_vectors(VECTORS)
    assert (loaded.kind, loaded.n_probes, loaded.error) == (index.kind, index.n_probes, index.error)
    assert loaded.embeddings_fingerprint == index.embeddings_fingerprint
    assert loaded.recall_k == 10
    told = {"recall": loaded.recall, "recall_k": 10, "recall_among": {}}
    assert json.loads((tmp_path / "recall.json").read_text()) == told
    for query in VECTORS[:5]:
        assert nearest(loaded, query, 7)[0].tolist() == nearest(index, query, 7)[0].tolist()


def test_an_index_never_measured_says_so(index, tmp_path: Path):
    index.save(tmp_path)
    assert np.isnan(VectorIndex.load(tmp_path, IDS).recall)


def test_an_index_over_other_ids_is_refused_and_both_are_printed(index, tmp_path: Path):
    index.save(tmp_path)
    other = IdMap.of(f"x{item}" for item in range(N_ITEMS))
    with pytest.raises(ReleaseMismatch) as caught:
        VectorIndex.load(tmp_path, other)
    assert IDS.fingerprint in str(caught.value)
    assert other.fingerprint in str(caught.value)


@pytest.mark.parametrize("damage", [lambda content: content[:-20], lambda content: b"\0" * 64 + content[64:]])
def test_damaged_bytes_are_refused_before_they_are_read(index, tmp_path: Path, damage):
    index.save(tmp_path)
    path = tmp_path / "index.faiss"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ArtefactError, match="damaged"):
        VectorIndex.load(tmp_path, IDS)


@pytest.mark.parametrize("content", [b"", b"not an index at all", b"IxF2" + b"\xff" * 8])
def test_bytes_that_are_no_index_are_an_error_also_where_the_meta_agrees(index, tmp_path: Path, content):
    index.save(tmp_path)
    (tmp_path / "index.faiss").write_bytes(content)
    built_with = {"catalogue ids": IDS.fingerprint, "embeddings": index.embeddings_fingerprint}
    values = {"dim": DIM, "kind": index.kind, "exact": True, "ef_search": 64, "recall": None, "recall_k": 0}
    save_artefact(tmp_path, KIND, built_with=built_with, values=values)
    with pytest.raises(ArtefactError, match=r"index\.faiss is damaged"):
        VectorIndex.load(tmp_path, IDS)


def test_an_id_map_of_another_size_is_refused(index, tmp_path: Path):
    index.save(tmp_path)
    np.save(tmp_path / "item_idx.npy", np.arange(5, dtype=np.int32))
    built_with = {"catalogue ids": IDS.fingerprint, "embeddings": index.embeddings_fingerprint}
    values = {"dim": DIM, "kind": index.kind, "exact": True, "ef_search": 64, "recall": None, "recall_k": 0}
    save_artefact(tmp_path, KIND, built_with=built_with, values=values)
    with pytest.raises(ArtefactError, match=r"index\.faiss is damaged.*expected .*5"):
        VectorIndex.load(tmp_path, IDS)


def test_vectors_and_ids_must_be_as_many():
    with pytest.raises(ShapeMismatch, match="699"):
        VectorIndex.build(VECTORS[:-1], IDS, EXACT)


def test_a_question_of_another_width_is_refused(index):
    with pytest.raises(ShapeMismatch, match="8 numbers"):
        nearest(index, np.zeros(DIM + 1, np.float32), 5)


def test_an_index_of_nothing_finds_nothing():
    empty = VectorIndex.build(np.zeros((N_ITEMS, DIM), np.float32), IDS, EXACT)
    assert len(nearest(empty, VECTORS[0], 5)[0]) == 0


def test_a_graph_of_before_there_were_kinds_is_read_and_searched_by_inner_product(tmp_path: Path):
    graph = faiss.IndexHNSWFlat(DIM, 16, faiss.METRIC_INNER_PRODUCT)
    graph.add(VECTORS)
    of_kind("hnsw").save(tmp_path)
    (tmp_path / "index.faiss").write_bytes(faiss.serialize_index(graph).tobytes())
    values = {"dim": DIM, "exact": False, "ef_search": 64, "recall": None, "recall_k": 0}
    built_with = {"catalogue ids": IDS.fingerprint, "embeddings": of_kind("hnsw").embeddings_fingerprint}
    save_artefact(tmp_path, KIND, built_with=built_with, values=values)
    loaded = VectorIndex.load(tmp_path, IDS)
    assert (loaded.kind, loaded.dim, loaded.n_probes, loaded.recall_among) == ("hnsw", DIM, 0, {})
    loaded.check_vectors(VECTORS)
    items, scores = nearest(loaded, VECTORS[5], 10)
    assert items.tolist() == nearest(of_kind("flat"), VECTORS[5], 10)[0].tolist()
    np.testing.assert_allclose(scores, VECTORS[items] @ VECTORS[5], rtol=1e-5)


def test_by_distance_the_items_with_the_largest_inner_products_are_the_nearest_however_long_they_are():
    rng = np.random.default_rng(2)
    uneven = (VECTORS * rng.lognormal(0, 2, (N_ITEMS, 1))).astype(np.float32)
    every_list = HNSW.model_copy(update={"kind": "ivf_flat", "ivf_probes": N_ITEMS})
    assert with_recall(VectorIndex.build(uneven, IDS, every_list), uneven, VECTORS[:50], 10).recall == 1.0


@pytest.mark.parametrize(("kind", "min_recall"), [("hnsw", 0.8), ("ivf_flat", 0.99)])
def test_a_search_makes_as_much_effort_as_the_recall_needs_and_no_more(kind, min_recall):
    careless = {"hnsw_links": 4, "hnsw_ef_construction": 8, "hnsw_ef_search": 8, "ivf_probes": 1}
    built = VectorIndex.build(VECTORS, IDS, HNSW.model_copy(update={"kind": kind, **careless}))
    as_built, enough = (with_recall(built, VECTORS, VECTORS[:40], 10, min_recall=least) for least in (0.0, min_recall))
    assert as_built.recall < min_recall <= enough.recall
    assert (as_built.ef_search, as_built.n_probes) == (built.ef_search, built.n_probes)
    made, most = (enough.ef_search, N_ITEMS) if kind == "hnsw" else (enough.n_probes, enough.searcher.nlist)
    assert {"hnsw": 8, "ivf_flat": 1}[kind] < made < most


def uneven_vectors() -> np.ndarray:
    return (VECTORS * np.random.default_rng(2).lognormal(0, 2.5, (N_ITEMS, 1))).astype(np.float32)


def test_where_a_byte_a_number_or_a_distance_tells_too_little_another_kind_is_taken(capsys, monkeypatch):
    monkeypatch.setattr("recommender.index.vector_index.EXACT_AMONG", 1)
    vectors = uneven_vectors()
    short = {"the short ones": AllowedItems.of(np.linalg.norm(vectors, axis=1) < 1)}
    asked = INDEX_SETTINGS.model_copy(update={"exact_below": 10, "min_recall": 0.9, "ivf_probes": 1})
    for indexed, filters, kind in ((VECTORS, {}, "ivf_sq8"), (vectors, {}, "ivf_flat"), (vectors, short, "flat")):
        found = best_index(indexed, IDS, VECTORS[:40], filters, asked)
        assert (found.kind, found.is_enough(0.9)) == (kind, True)
    assert "of kind ivf_sq8 it finds 0.0" in capsys.readouterr().out


@pytest.fixture
def looks_at_few_at_first(monkeypatch) -> None:
    monkeypatch.setattr(by_length, "FIRST_LOOKED_AT", 16)
    monkeypatch.setattr(vector_index, "FIRST_LOOKED_AT", 16)


@given(st.integers(1, 60), st.sampled_from([0.003, 0.1, 0.7, None]), st.sampled_from([0, 0.5, 2.5]), st.integers(0, 99))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_longest_first_finds_what_looking_at_all_finds(looks_at_few_at_first, k, share, sigma, seed):
    rng = np.random.default_rng(seed)
    vectors = (VECTORS * rng.lognormal(0, sigma, (N_ITEMS, 1))).astype(np.float32)
    vectors[rng.integers(N_ITEMS, size=5)] = 0
    queries = np.vstack([rng.normal(size=(6, DIM)), np.zeros(DIM), -vectors[:1]]).astype(np.float32)
    mask = None if share is None else rng.random(N_ITEMS) < share
    allowed = None if mask is None else AllowedItems.of(mask)
    without = RaggedItems.of([np.flatnonzero(rng.random(N_ITEMS) < 0.05).astype(np.int32)] * len(queries))
    longest_first, every = (VectorIndex.build(vectors, IDS, one) for one in (BY_LENGTH, EXACT))
    ours, expected = (one.search(queries, k, without, allowed=allowed) for one in (longest_first, every))
    assert ours.offsets.tolist() == expected.offsets.tolist()
    assert ours.scores.tolist() == expected.scores.tolist()
    assert ours.item_idx[ours.scores != 0].tolist() == expected.item_idx[expected.scores != 0].tolist()


def test_where_lengths_are_uneven_few_are_looked_at_and_where_they_are_equal_all(looks_at_few_at_first):
    uneven = VectorIndex.build(uneven_vectors(), IDS, BY_LENGTH)
    equal = VectorIndex.build(VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True), IDS, BY_LENGTH)
    assert np.mean(uneven.n_looked_at(VECTORS[:50], 5)) < 0.2 * N_ITEMS
    assert np.mean(equal.n_looked_at(VECTORS[:50], 5)) == N_ITEMS


def test_the_longest_first_is_taken_where_that_looks_at_few(looks_at_few_at_first):
    asked = INDEX_SETTINGS.model_copy(update={"exact_below": N_ITEMS // 2, "recall_k": 5, "min_recall": 1.0})
    assert best_index(uneven_vectors(), IDS, VECTORS[:40], {}, asked).kind == "by_length"
    assert best_index(VECTORS, IDS, VECTORS[:40], {}, asked.model_copy(update={"min_recall": 0.9})).kind == "ivf_sq8"


def test_a_kind_that_is_named_is_kept_however_little_it_finds():
    asked = INDEX_SETTINGS.model_copy(update={"exact_below": 10, "min_recall": 0.9, "kind": "ivf_sq8"})
    found = best_index(uneven_vectors(), IDS, VECTORS[:40], {}, asked)
    assert (found.kind, found.is_enough(0.9)) == ("ivf_sq8", False)


def test_the_least_recall_is_the_one_that_counts():
    index = replace(of_kind("hnsw"), recall=0.97, recall_among={"hats": 0.95, "shoes": 0.99})
    assert index.least_recall == (0.95, "hats")
    assert replace(index, recall=0.9).least_recall == (0.9, "")
    with pytest.raises(ArtefactError, match=r"kind hnsw, finds 0.950 .* among the items of category 'hats'"):
        check_recall(index, INDEX_SETTINGS.model_copy(update={"min_recall": 0.96}))
    check_recall(index, INDEX_SETTINGS.model_copy(update={"min_recall": 0.95}))
    effort = {"hnsw": "Raise index.hnsw_ef_search", "ivf_flat": "Raise index.ivf_probes", "by_length": "a fault"}
    for kind, advice in effort.items():
        with pytest.raises(ArtefactError, match=advice):
            check_recall(replace(index, kind=kind), INDEX_SETTINGS.model_copy(update={"min_recall": 0.96}))


def test_which_of_equals_is_found_does_not_lower_the_recall(monkeypatch):
    """Of the items that tie for the last seven places, the index looks at the longest first, exact search does not."""
    monkeypatch.setattr(vector_index, "TIES_FETCHED", 0)
    vectors, question = np.zeros((50, DIM), np.float32), np.eye(DIM, dtype=np.float32)[:1]
    vectors[:, 0], vectors[:, 1] = np.where(np.arange(50) < 5, 2, 1), np.arange(50)
    ids = IdMap.of(f"i{1000 + item}" for item in range(50))
    index = VectorIndex.build(vectors, ids, BY_LENGTH)
    found, exact = (one.search(question, 12).item_idx for one in (index, VectorIndex.exact(vectors, ids.fingerprint)))
    assert np.intersect1d(found, exact).tolist() == [0, 1, 2, 3, 4]
    assert with_recall(index, vectors, question, 12).recall == 1.0
    two_forgotten = replace(index, item_idx=np.where(index.item_idx < 2, index.item_idx + 10, index.item_idx))
    assert with_recall(two_forgotten, vectors, question, 12).recall == 10 / 12
