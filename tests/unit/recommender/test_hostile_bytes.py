"""Forged indexes and models are refused by their numbers, before FAISS and LightGBM, which trust them, read one."""

from __future__ import annotations

import re
import struct
from typing import get_args

import faiss
import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.settings.index import IndexKind
from recommender.index.index_file import Held, check_index_bytes
from recommender.index.saved_searcher import read_searcher
from recommender.index.searchers import EXACT, FAISS, built_searcher, held_vectors
from recommender.ranking.model_text import trees_of
from tests.recommender_worlds import INDEX_SETTINGS

N, DIM = 700, 4
FLAT_HEADER = 4 + 4 + 8 + 8 + 8 + 1 + 4
HUGE = 2**31 - 1


def serialized(kind: IndexKind) -> bytes:
    vectors = np.random.default_rng(5).normal(size=(N, DIM)).astype(np.float32)
    searcher = built_searcher(kind, vectors, INDEX_SETTINGS.model_copy(update={"hnsw_links": 4}))
    return bytes(faiss.serialize_index(searcher).tobytes())


def held(kind: str) -> Held:
    return Held(N, DIM) if kind in EXACT else Held(N, DIM + 1, by_distance=True)


INDEXES = {kind: serialized(kind) for kind in get_args(IndexKind)}


def array_starts(content: bytes) -> dict[str, int]:
    """Where the length of each array of an HNSW file stands."""
    starts, at = {}, FLAT_HEADER
    for name, width in (("probabilities", 8), ("level_starts", 4), ("levels", 4), ("starts", 8), ("links", 4)):
        starts[name] = at
        at += 8 + width * struct.unpack_from("<Q", content, at)[0]
    return {**starts, "entry": at}


def changed(content: bytes, at: int, fmt: str, value: int) -> bytes:
    spoilt = bytearray(content)
    struct.pack_into(fmt, spoilt, at, value)
    return bytes(spoilt)


@pytest.mark.parametrize("kind", INDEXES)
def test_what_faiss_writes_is_taken(kind: str) -> None:
    check_index_bytes(INDEXES[kind], held(kind))
    of_before = faiss.IndexHNSWFlat(DIM, 4, faiss.METRIC_INNER_PRODUCT)
    check_index_bytes(faiss.serialize_index(of_before).tobytes(), Held(0, DIM))


@pytest.mark.parametrize(
    ("array", "offset", "fmt", "value"),
    [
        ("links", 8, "<i", N),  # a node that is not there
        ("links", 8, "<i", -2),
        ("links", 0, "<Q", 2**60),  # more than the file holds
        ("levels", 8, "<i", 100),
        ("levels", 8, "<i", 0),
        ("starts", 16, "<Q", 2**40),
        ("level_starts", 12, "<i", HUGE),
        ("entry", 0, "<i", N),
        ("entry", 0, "<i", -1),
        ("entry", 4, "<i", 40),
        ("entry", 16, "<i", HUGE),
    ],
)
def test_a_forged_number_in_the_graph_is_refused(array: str, offset: int, fmt: str, value: int) -> None:
    content = INDEXES["hnsw"]
    with pytest.raises(ValueError, match=r"."):
        check_index_bytes(changed(content, array_starts(content)[array] + offset, fmt, value), held("hnsw"))


def test_a_link_to_a_node_that_does_not_reach_its_level_is_refused() -> None:
    content = INDEXES["hnsw"]
    at = array_starts(content)
    levels = np.frombuffer(content, "<i4", N, at["levels"] + 8)
    starts = np.frombuffer(content, "<u8", N, at["starts"] + 8)
    tall, low = int(np.flatnonzero(levels > 1)[0]), int(np.flatnonzero(levels == 1)[0])
    slot = int(starts[tall]) + 8  # behind the eight slots of the ground
    with pytest.raises(ValueError, match="a link on level 1"):
        check_index_bytes(changed(content, at["links"] + 8 + 4 * slot, "<i", low), held("hnsw"))


@pytest.mark.parametrize("kind", INDEXES)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_an_index_that_is_taken_is_read_and_searched(kind: IndexKind, data: st.DataObject) -> None:
    content = INDEXES[kind]
    at = data.draw(st.integers(0, len(content) - 4))
    value = data.draw(st.sampled_from([0, 1, -1, N, HUGE, -(2**31)]))
    spoilt = changed(content, at, "<i", value)[: data.draw(st.sampled_from([len(content), len(content), at]))]
    try:
        check_index_bytes(spoilt, held(kind))
        searcher = read_searcher(spoilt)
    except ValueError:
        return
    params = FAISS.SearchParametersIVF(nprobe=50) if kind.startswith("ivf") else None
    searcher.search(np.ones((1, held(kind).dim), np.float32), 10, params=params)
    assert sum(len(positions) for positions, _ in held_vectors(searcher, kind)) == N


@pytest.mark.parametrize(
    ("kind", "at", "value", "message"),
    [
        ("ivf_flat", FLAT_HEADER, 0, "0 lists of 700 vectors"),
        ("ivf_flat", FLAT_HEADER, N + 1, "701 lists of 700 vectors"),
        ("ivf_flat", -8, 5, "do not hold each of the 700 vectors once"),
        ("ivf_flat", -8, -1, "do not hold each of the 700 vectors once"),
        ("ivf_sq8", -8, N, "do not hold each of the 700 vectors once"),
        ("ivf_sq8", "ilar", 2**40, "the lists: "),
        ("ivf_flat", "full", 2**40, "lists hold"),
        ("ivf_flat", "full", -1, "lists hold"),
        ("ivf_pq", "ilbl", 2**40, "the lists: "),
    ],
)
def test_a_forged_number_of_lists_is_refused(kind: str, at: int | str, value: int, message: str) -> None:
    content = INDEXES[kind]
    place = content.index(at.encode()) + 4 + 8 * (at == "full") if isinstance(at, str) else at % len(content)
    with pytest.raises(ValueError, match=message):
        check_index_bytes(changed(content, place, "<q", value), held(kind))


def model_text() -> str:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(200, 3))
    labels = (values[:, 0] > 0).astype(int)
    dataset = lgb.Dataset(values, labels, group=[20] * 10, feature_name=["a", "b", "c"], params={"verbose": -1})
    options = {"objective": "lambdarank", "label_gain": [0, 1], "verbose": -1, "min_data_in_leaf": 5, "num_threads": 1}
    return str(lgb.train(options, dataset, num_boost_round=3).model_to_string())


MODEL = model_text()


def test_what_scores_is_kept_and_scores_the_same() -> None:
    rows = np.random.default_rng(4).normal(size=(50, 3))
    trees = trees_of(MODEL, 3)
    assert "parameters:" not in trees
    np.testing.assert_array_equal(
        lgb.Booster(model_str=trees).predict(rows), lgb.Booster(model_str=MODEL).predict(rows)
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("split_feature=0", "split_feature=7"),
        ("num_leaves=", "num_leaves=9"),
        ("num_leaves=", "num_leaves=+"),
        ("num_cat=0", "num_cat=1"),
        ("is_linear=0", "is_linear=1"),
        ("decision_type=2", "decision_type=1"),
        ("shrinkage=", "shrinkage=x"),
        ("max_feature_idx=2", "max_feature_idx=1"),
        ("num_class=1", "num_class=3"),
        ("tree_sizes=", "tree_sizes=1"),
        ("tree_sizes=", "tree_sizes=-1 "),
        ("version=v4", "version=v4\nmonotone_constraints=1 up 1"),
        ("version=v4", "version=v4\nmonotone_constraints=1\nmonotone_constraints=1"),
        ("version=v4", "version=v4\nmonotone_penalty=1"),
        ("end of trees", "end"),
    ],
)
def test_a_forged_model_is_refused(old: str, new: str) -> None:
    assert old in MODEL
    with pytest.raises(ValueError, match=r"."):
        trees_of(MODEL.replace(old, new, 1), 3)


@pytest.mark.parametrize(
    "key",
    ["left_child", "split_feature", "num_leaves", "num_cat", "threshold", "leaf_value", "shrinkage", "tree_sizes"],
)
def test_digits_of_another_alphabet_are_refused_for_lightgbm_ends_the_process_at_one(key: str) -> None:
    arabic = re.sub(rf"^{key}=.*\d", _in_arabic_digits, MODEL, count=1, flags=re.MULTILINE)
    assert arabic != MODEL
    forged = arabic if key == "tree_sizes" else re.sub(r"tree_sizes=(\d+)", _grown(arabic), arabic)
    with pytest.raises(ValueError, match="ASCII"):
        trees_of(forged, 3)


def _in_arabic_digits(line: re.Match[str]) -> str:
    return line.group().translate({ord("0") + digit: 0x660 + digit for digit in range(10)})


def test_what_training_wrote_behind_the_trees_may_be_of_any_alphabet() -> None:
    assert trees_of(MODEL + "[data: \u0661]\n", 3) == trees_of(MODEL, 3)


@pytest.mark.parametrize("child", [0, 999, -999])
def test_a_tree_that_is_none_is_refused(child: int) -> None:
    circle = re.sub(r"left_child=\S+", f"left_child={child}", MODEL, count=1)
    with pytest.raises(ValueError, match=r"tree 0 is no tree|does not end|tree 1 starts"):
        trees_of(re.sub(r"tree_sizes=(\d+)", _grown(circle), circle), 3)


def _grown(text: str) -> str:
    """The sizes of the trees as they are now."""
    first = text.index("Tree=0")
    return f"tree_sizes={text.index('Tree=1') - first}"


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, len(MODEL) - 1), put=st.sampled_from(["9", "-", " ", "\n", "=", "e", "nan", "0 0", "\u0661"]))
def test_a_model_that_is_taken_is_read_and_scores(at: int, put: str) -> None:
    try:
        trees = trees_of(MODEL[:at] + put + MODEL[at + 1 :], 3)
        booster = lgb.Booster(model_str=trees)
    except (ValueError, lgb.basic.LightGBMError):
        return
    booster.predict(np.zeros((2, 3)), num_threads=1)
