from __future__ import annotations

import json
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.artefact import save_artefact
from contracts.errors import ArtefactError, DataTooSmall, ReleaseMismatch, ShapeMismatch
from contracts.id_map import IdMap
from recommender.index.vector_index import KIND, VectorIndex
from recommender.proposals import best_of_one
from recommender.ragged import RaggedItems
from tests.recommender_worlds import INDEX_SETTINGS

N_ITEMS, DIM = 600, 8
EXACT = INDEX_SETTINGS.model_copy(update={"exact_below": N_ITEMS + 1})
HNSW = INDEX_SETTINGS.model_copy(update={"exact_below": 10})
IDS = IdMap.of(f"i{1000 + item}" for item in range(N_ITEMS))
VECTORS = np.random.default_rng(11).normal(size=(N_ITEMS, DIM)).astype(np.float32)


def nearest(
    index: VectorIndex, vector: np.ndarray, k: int, excluded: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The items near one vector, and their scores."""
    without = None if excluded is None else RaggedItems.of([excluded])
    return index.search(vector[None, :], k, without).of_query(0)


@pytest.fixture(params=[EXACT, HNSW], ids=["exact", "hnsw"])
def index(request: pytest.FixtureRequest) -> VectorIndex:
    return VectorIndex.build(VECTORS, IDS, request.param)


def test_small_catalogues_are_searched_exactly_and_large_ones_by_hnsw():
    at_the_limit = INDEX_SETTINGS.model_copy(update={"exact_below": N_ITEMS})
    assert VectorIndex.build(VECTORS, IDS, EXACT).is_exact
    assert not VectorIndex.build(VECTORS, IDS, at_the_limit).is_exact


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
    assert VectorIndex.build(VECTORS, IDS, EXACT).measured(VECTORS, queries, 10).recall == 1.0
    # A graph of few links, searched carelessly, misses some; the measure must see it.
    careless = HNSW.model_copy(update={"hnsw_links": 4, "hnsw_ef_construction": 8, "hnsw_ef_search": 8})
    assert 0.1 < VectorIndex.build(VECTORS, IDS, careless).measured(VECTORS, queries, 10).recall < 1.0
    assert VectorIndex.build(VECTORS, IDS, HNSW).measured(VECTORS, queries, 10).recall > 0.95


def test_nobody_to_measure_with_is_an_error(index):
    with pytest.raises(DataTooSmall):
        index.measured(VECTORS, np.empty((0, DIM), np.float32), 10)


def test_items_without_a_vector_are_not_in_the_index():
    vectors = VECTORS.copy()
    vectors[[3, 7]] = 0
    items, _ = nearest(VectorIndex.build(vectors, IDS, EXACT), VECTORS[3], N_ITEMS)
    assert len(items) == N_ITEMS - 2
    assert not {3, 7} & set(items.tolist())


def test_equal_input_gives_equal_bytes(index, tmp_path: Path):
    again = VectorIndex.build(VECTORS, IDS, EXACT if index.is_exact else HNSW)
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
    index.measured(VECTORS, VECTORS[:5], 10).save(tmp_path)
    loaded = VectorIndex.load(tmp_path, IDS)
    assert loaded.is_exact == index.is_exact
    assert loaded.embeddings_fingerprint == index.embeddings_fingerprint
    assert loaded.recall_k == 10
    assert json.loads((tmp_path / "recall.json").read_text()) == {"recall": loaded.recall, "recall_k": 10}
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
    values = {"dim": DIM, "exact": True, "ef_search": 64, "recall": None, "recall_k": 0}
    save_artefact(tmp_path, KIND, built_with=built_with, values=values)
    with pytest.raises(ArtefactError, match=r"index\.faiss is damaged"):
        VectorIndex.load(tmp_path, IDS)


def test_an_id_map_of_another_size_is_refused(index, tmp_path: Path):
    index.save(tmp_path)
    np.save(tmp_path / "item_idx.npy", np.arange(5, dtype=np.int32))
    built_with = {"catalogue ids": IDS.fingerprint, "embeddings": index.embeddings_fingerprint}
    values = {"dim": DIM, "exact": True, "ef_search": 64, "recall": None, "recall_k": 0}
    save_artefact(tmp_path, KIND, built_with=built_with, values=values)
    with pytest.raises(ArtefactError, match=r"index\.faiss is damaged.*expected .*5"):
        VectorIndex.load(tmp_path, IDS)


def test_vectors_and_ids_must_be_as_many():
    with pytest.raises(ShapeMismatch, match="599"):
        VectorIndex.build(VECTORS[:-1], IDS, EXACT)


def test_a_question_of_another_width_is_refused(index):
    with pytest.raises(ShapeMismatch, match="8 numbers"):
        nearest(index, np.zeros(DIM + 1, np.float32), 5)


def test_an_index_of_nothing_finds_nothing():
    empty = VectorIndex.build(np.zeros((N_ITEMS, DIM), np.float32), IDS, EXACT)
    assert len(nearest(empty, VECTORS[0], 5)[0]) == 0
