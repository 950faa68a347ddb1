"""What does each kind of vector index find, how fast, and how large is it: with and without a filter?

    python -m bench.index [--items N] [--dim D] [--kinds hnsw,ivf_sq8]

The vectors are those of ALS over made-up events: people with two of 200 topics each, and items of one, some of which
everybody knows. Each kind is built with the parameters of params.yaml and asked for 100 items by one person at a time,
on one thread: among all items, among those of half of the topics, and of a tenth. Recall is against exact search. The
last row looks at the items of a filter one by one, as is done where there are no more than EXACT_AMONG.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import faiss
import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from bench.report import print_figures, print_table
from bench.yardstick import SEED, yardstick_ms
from contracts.id_map import IdMap
from contracts.ids import FloatArray
from contracts.settings.index import IndexKind
from contracts.settings.settings import load_settings
from recommender.allowed_items import AllowedItems
from recommender.index import vector_index
from recommender.index.recall import with_recall
from recommender.index.searchers import FAISS, n_lists, one_thread, sums_by_blas
from recommender.index.vector_index import FILE, VectorIndex

N_TOPICS, N_PEOPLE_ASKED, K = 200, 200, 100
SHARES = {"half": 2, "a tenth": 10}
EVENTS_OF_A_PERSON = 20
N_ITERATIONS = 5


def main() -> None:
    """Build every kind, print a table, and the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=32)
    parser.add_argument("--kinds", default=",".join(get_args(IndexKind)))
    arguments = parser.parse_args()
    y_ms = yardstick_ms()
    vectors, queries, topics = _factors(arguments.items, arguments.dim)
    rows = [_measured(kind, vectors, queries, topics) for kind in arguments.kinds.split(",")]
    print_table(list(rows[0]), [list(row.values()) for row in rows])
    plain = [_by_inner_product(kind, vectors, queries) for kind in ("hnsw", "ivf_flat")]
    print("\nThe vectors as they are, by inner product:")
    print_table(list(plain[0]), [list(row.values()) for row in plain])
    alone = _one_by_one(vectors, queries, topics)
    print(f"\nOne by one, {alone['items']:,} items of a filter: {alone['ms']} ms. Y is {y_ms:.2f} ms.")
    figures = {
        "yardstick_ms": round(y_ms, 2),
        "items": arguments.items,
        "dim": arguments.dim,
        "kinds": rows,
        "one_by_one": alone,
    }
    print_figures("index", figures, data="ALS over made-up events", seed=SEED)


def _factors(n_items: int, dim: int) -> tuple[FloatArray, FloatArray, npt.NDArray[np.int64]]:
    """The vectors of the items and of the people asked, and the topic of each item."""
    from implicit.cpu.als import AlternatingLeastSquares
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    als, rng = load_settings(Path("params.yaml")).candidates.als, np.random.default_rng(SEED)
    n_people = n_items // 2
    topics = rng.integers(N_TOPICS, size=n_items)
    weight = 1 / (10 + rng.permutation(n_items)) ** 0.8
    by_topic = [np.flatnonzero(topics == topic) for topic in range(N_TOPICS)]
    ends = [np.cumsum(weight[items]) for items in by_topic]
    own = rng.integers(N_TOPICS, size=(n_people, 2))
    people = np.repeat(np.arange(n_people), EVENTS_OF_A_PERSON)
    wanted = own[people, rng.integers(2, size=len(people))]
    wanted = np.where(rng.random(len(people)) < 0.2, rng.integers(N_TOPICS, size=len(people)), wanted)
    items = np.empty(len(people), np.int64)
    for topic in range(N_TOPICS):
        here = wanted == topic
        drawn = np.searchsorted(ends[topic], rng.random(int(here.sum())) * ends[topic][-1])
        items[here] = by_topic[topic][np.minimum(drawn, len(by_topic[topic]) - 1)]
    seen = csr_matrix((np.ones(len(people), np.float32), (people, items)), (n_people, n_items))
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=dim,
            regularization=als.regularization,
            alpha=als.alpha,
            iterations=N_ITERATIONS,
            random_state=SEED,
            num_threads=1,
        )
        model.fit(seen, show_progress=False)
    asked = rng.choice(n_people, N_PEOPLE_ASKED, replace=False)
    return np.asarray(model.item_factors, np.float32), np.asarray(model.user_factors[asked], np.float32), topics


def _measured(kind: str, vectors: FloatArray, queries: FloatArray, topics: npt.NDArray[np.int64]) -> dict[str, Any]:
    settings = load_settings(Path("params.yaml")).index.model_copy(update={"kind": kind, "exact_below": 1})
    ids = IdMap.of(f"{item:08}" for item in range(len(vectors)))
    began = time.perf_counter()
    index = VectorIndex.build(vectors, ids, settings)
    built_s = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        index.save(Path(folder))
        index = VectorIndex.load(Path(folder), ids).with_vectors(vectors)
        n_bytes = (Path(folder) / FILE).stat().st_size
        filters = {name: AllowedItems.of(topics % part == 0) for name, part in SHARES.items()}
        measured = with_recall(index, vectors, queries, K, filters)
        figures = {
            "kind": kind,
            "build_s": round(built_s, 1),
            "mib": round(n_bytes / 2**20, 1),
            "recall": round(measured.recall, 3),
            "ms": _median_ms(queries, lambda query: index.search(query, K)),
        }
        for name, allowed in filters.items():
            figures[f"recall, {name}"] = round(measured.recall_among[name], 3)
            figures[f"ms, {name}"] = _median_ms(queries, lambda query: index.search(query, K, allowed=allowed))  # noqa: B023
    return figures


def _by_inner_product(kind: str, vectors: FloatArray, queries: FloatArray) -> dict[str, Any]:
    """The same kind of index without the number that makes vectors equally long, searched with the same effort."""
    settings = load_settings(Path("params.yaml")).index
    own = np.flatnonzero(vectors.any(axis=1))
    if kind == "hnsw":
        searcher = faiss.IndexHNSWFlat(vectors.shape[1], settings.hnsw_links, faiss.METRIC_INNER_PRODUCT)
        searcher.hnsw.efConstruction = settings.hnsw_ef_construction
        effort = FAISS.SearchParametersHNSW(efSearch=settings.hnsw_ef_search)
    else:
        lists = n_lists(len(own), settings)
        searcher = faiss.index_factory(vectors.shape[1], f"IVF{lists},Flat", faiss.METRIC_INNER_PRODUCT)
        effort = FAISS.SearchParametersIVF(nprobe=settings.ivf_probes)
    with one_thread(), sums_by_blas():
        if not searcher.is_trained:
            searcher.train(vectors[own])
        searcher.add(vectors[own])
    exact = VectorIndex.exact(vectors, "")
    shares = []
    for row in range(len(queries)):
        _, found = searcher.search(queries[row : row + 1], K, params=effort)
        best = exact.search(queries[row : row + 1], K).item_idx
        shares.append(len(np.intersect1d(own[found[found >= 0]], best)) / K)
    took = _median_ms(queries, lambda query: searcher.search(query, K, params=effort))
    return {"kind": kind, "recall": round(float(np.mean(shares)), 3), "ms": took}


def _one_by_one(vectors: FloatArray, queries: FloatArray, topics: npt.NDArray[np.int64]) -> dict[str, float]:
    exact = VectorIndex.exact(vectors, "")
    shuffled = np.random.default_rng(SEED).permutation(len(topics))
    allowed = AllowedItems.of(shuffled < vector_index.EXACT_AMONG)
    return {
        "items": allowed.n_allowed,
        "ms": _median_ms(queries, lambda query: exact.search(query, K, allowed=allowed)),
    }


def _median_ms(queries: FloatArray, search: Callable[[FloatArray], object]) -> float:
    took = []
    search(queries[:1])
    for row in range(len(queries)):
        began = time.perf_counter()
        search(queries[row : row + 1])
        took.append(1000 * (time.perf_counter() - began))
    return round(statistics.median(took), 2)


if __name__ == "__main__":
    main()
