"""The vector index: the items nearest to a vector, by inner product; exact for small catalogues, HNSW for large."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from contracts.artefact import (
    Meta,
    check_built_with,
    fingerprint_array,
    load_array,
    load_meta,
    reading,
    save_artefact,
)
from contracts.errors import DataTooSmall, ReleaseMismatch, ShapeMismatch
from contracts.fingerprint import canonical_json
from contracts.id_map import IdMap
from contracts.ids import FloatArray, ItemIdxArray
from contracts.settings.index import IndexSettings
from recommender.index.index_file import check_index_bytes
from recommender.proposals import Proposals, best_first
from recommender.query import no_items

KIND = "vector-index"
FILE = "index.faiss"
RECALL = "recall.json"
# FAISS keeps any of the items that tie for the last place; a few more are fetched, so that ties break by item_idx.
TIES_FETCHED = 16


@dataclass(frozen=True)
class VectorIndex:
    """Finds items by inner product with a vector.

    item_idx: (n_vectors,) the item behind each position of the index; items without a vector are not in it.
    ids_fingerprint: of the catalogue's ids; embeddings_fingerprint: of the vectors it was built from.
    recall: at `recall_k` against exact search, NaN until measured.

    >>> settings = IndexSettings(
    ...     exact_below=1000, hnsw_links=16, hnsw_ef_construction=100, hnsw_ef_search=50, recall_k=2, min_recall=0.9
    ... )
    >>> vectors = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    >>> index = VectorIndex.build(vectors, IdMap.of(["a", "b", "c"]), settings)
    >>> index.search(np.array([0, 1], np.float32), k=2, excluded=no_items()).item_idx.tolist()
    [1, 2]
    >>> index.is_exact
    True
    """

    searcher: Any  # a faiss index; the library publishes no types
    item_idx: ItemIdxArray
    ids_fingerprint: str
    embeddings_fingerprint: str
    ef_search: int
    recall: float = float("nan")
    recall_k: int = 0

    @classmethod
    def build(cls, vectors: FloatArray, ids: IdMap, settings: IndexSettings) -> VectorIndex:
        """Index the rows of vectors, aligned with `ids`; rows that are all zero stay out. Equal input, equal bytes."""
        if vectors.ndim != 2 or len(vectors) != len(ids):
            raise ShapeMismatch(
                f"The index got vectors of shape {vectors.shape} for {len(ids)} items.",
                "Give it one vector per item of the catalogue the vectors were fitted on.",
            )
        item_idx = np.flatnonzero(vectors.any(axis=1)).astype(np.int32)
        searcher = _new_searcher(vectors.shape[1], len(item_idx), settings)
        with _one_thread():  # HNSW links depend on the order of insertion
            searcher.add(np.ascontiguousarray(vectors[item_idx], np.float32))
        return cls(searcher, item_idx, ids.fingerprint, fingerprint_array(vectors), settings.hnsw_ef_search)

    @property
    def is_exact(self) -> bool:
        return not isinstance(self.searcher, faiss.IndexHNSW)

    @property
    def dim(self) -> int:
        return int(self.searcher.d)

    def search(self, vector: FloatArray, k: int, excluded: ItemIdxArray) -> Proposals:
        """At most k items, best first, none of them excluded; vector: (dim,)."""
        if vector.shape != (self.dim,):
            raise ShapeMismatch(
                f"The index was asked with a vector of shape {vector.shape}; its own have {self.dim} numbers.",
                "Ask it with the generator it was built from.",
            )
        # The excluded may all be among the nearest, so that many more are fetched before they are dropped.
        n_fetched = min(k + len(excluded) + TIES_FETCHED, len(self.item_idx))
        if k <= 0 or not n_fetched:
            return Proposals.none()
        scores, positions = self.searcher.search(vector[None, :], n_fetched, params=self._search_params(n_fetched))
        reached = positions[0] >= 0  # HNSW pads with -1 what it could not reach
        return best_first(self.item_idx[positions[0][reached]], scores[0][reached], k, excluded)

    def _search_params(self, n_fetched: int) -> Any:
        if self.is_exact:
            return None
        # The stubs that come with faiss leave this class out.
        return faiss.SearchParametersHNSW(efSearch=max(self.ef_search, n_fetched))  # type: ignore[attr-defined]

    def measured(self, vectors: FloatArray, queries: FloatArray, k: int) -> VectorIndex:
        """This index with its recall at k against exact search over the same vectors; queries: (n_queries, dim)."""
        if not len(queries):
            raise DataTooSmall("There is nobody to measure the index with.", "Bring more data.")
        recalls = [self._recall_of(vectors, query, k) for query in queries]
        return VectorIndex(
            self.searcher,
            self.item_idx,
            self.ids_fingerprint,
            self.embeddings_fingerprint,
            self.ef_search,
            float(np.mean(recalls)),
            k,
        )

    def _recall_of(self, vectors: FloatArray, query: FloatArray, k: int) -> float:
        exact = best_first(self.item_idx, vectors[self.item_idx] @ query, k, no_items())
        approximate = self.search(query, k, no_items())
        return len(np.intersect1d(exact.item_idx, approximate.item_idx)) / max(len(exact), 1)

    def save(self, folder: Path) -> Meta:
        """Write the index, its id map and `recall.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        measured = {"recall": None if np.isnan(self.recall) else self.recall, "recall_k": self.recall_k}
        (folder / FILE).write_bytes(faiss.serialize_index(self.searcher).tobytes())
        (folder / RECALL).write_bytes(canonical_json(measured) + b"\n")
        return save_artefact(
            folder,
            KIND,
            built_with={"catalogue ids": self.ids_fingerprint, "embeddings": self.embeddings_fingerprint},
            arrays={"item_idx": self.item_idx},
            values={"dim": self.dim, "exact": self.is_exact, "ef_search": self.ef_search, **measured},
        )

    @classmethod
    def load(cls, folder: Path, ids: IdMap) -> VectorIndex:
        """Read what `save` wrote; raises ArtefactError when damaged, ReleaseMismatch when of other item ids."""
        meta = load_meta(folder, KIND)
        check_built_with(f"index {folder}", meta.built_with, "catalogue ids", ids.fingerprint)
        with reading(folder):
            return cls._read(folder, ids, meta)

    @classmethod
    def _read(cls, folder: Path, ids: IdMap, meta: Meta) -> VectorIndex:
        values = meta.values
        item_idx, dim = load_array(folder, "item_idx", np.int32, (None,)), values["dim"]
        if len(item_idx) and not 0 <= item_idx.min() <= item_idx.max() < len(ids):
            raise ValueError(f"its id map holds {item_idx.min()} to {item_idx.max()}, of {len(ids)} items")
        with reading(folder / FILE):
            content = (folder / FILE).read_bytes()
            check_index_bytes(content, len(item_idx), dim)
            searcher = read_searcher(content)
        return cls(
            searcher,
            item_idx,
            ids.fingerprint,
            meta.built_with["embeddings"],
            int(values["ef_search"]),
            float("nan") if values["recall"] is None else float(values["recall"]),
            int(values["recall_k"]),
        )

    def check_vectors(self, vectors: FloatArray) -> None:
        """Refuse an index that holds other vectors than these, whatever it says it was built from."""
        own = np.flatnonzero(vectors.any(axis=1))
        expected, held = vectors[own], self.searcher.reconstruct_n(0, len(self.item_idx))
        if not np.array_equal(own, self.item_idx) or not np.array_equal(held, expected):
            raise ReleaseMismatch(
                f"The index says that it was built from embeddings {self.embeddings_fingerprint}, but its vectors are "
                f"{fingerprint_array(held)}; theirs are {fingerprint_array(expected)}.",
                "They belong to different releases. Run `dvc repro index`, or check out one release: "
                "`git checkout release/<id> && dvc checkout`.",
            )


def read_searcher(content: bytes) -> Any:
    """The FAISS index in these bytes; raises ValueError where FAISS refuses them. Bytes of which it could make a crash
    must be kept from it by `check_index_bytes`."""
    try:
        return faiss.deserialize_index(np.frombuffer(content, np.uint8))
    except RuntimeError as error:
        raise ValueError(f"FAISS refuses it: {error}") from error


def _new_searcher(dim: int, n_vectors: int, settings: IndexSettings) -> Any:
    if n_vectors < settings.exact_below:
        return faiss.IndexFlatIP(dim)
    searcher = faiss.IndexHNSWFlat(dim, settings.hnsw_links, faiss.METRIC_INNER_PRODUCT)
    searcher.hnsw.efConstruction = settings.hnsw_ef_construction
    return searcher


@contextmanager
def _one_thread() -> Iterator[None]:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
