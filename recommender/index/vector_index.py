"""The vector index: the items nearest to a vector, by inner product; exact for small catalogues, HNSW for large."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

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
from recommender.allowed_items import AllowedItems
from recommender.index.index_file import check_index_bytes
from recommender.proposals import Proposals, best_first
from recommender.ragged import RaggedItems, Rows, is_among, pair_keys, sum_by

KIND = "vector-index"
FILE = "index.faiss"
RECALL = "recall.json"
# FAISS keeps any of the items that tie for the last place; a few more are fetched, so that ties break by item_idx.
TIES_FETCHED = 16
_FAISS: Any = faiss  # the stubs that come with it lack classes and arguments
MEASURED_TOGETHER = 64  # queries
EXACT_AMONG = 50_000  # vectors: where a filter allows no more, looking at each is quicker than any index
# Inner products one vector after the other: with many queries FAISS asks BLAS, whose sums have another order.
faiss.cvar.distance_compute_blas_threshold = 2**30


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
    >>> index.search(np.array([[0, 1]], np.float32), k=2).item_idx.tolist()
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

    @classmethod
    def exact(cls, vectors: FloatArray, ids_fingerprint: str) -> VectorIndex:
        """An index that looks at every row of vectors, (n_items, dim), but those that are all zero."""
        item_idx = np.flatnonzero(vectors.any(axis=1)).astype(np.int32)
        searcher = faiss.IndexFlatIP(vectors.shape[1])
        searcher.add(np.ascontiguousarray(vectors[item_idx], np.float32))
        return cls(searcher, item_idx, ids_fingerprint, fingerprint_array(vectors), ef_search=0)

    @property
    def is_exact(self) -> bool:
        return not isinstance(self.searcher, faiss.IndexHNSW)

    @property
    def dim(self) -> int:
        return int(self.searcher.d)

    def search(
        self,
        vectors: FloatArray,
        k: int,
        excluded: RaggedItems | None = None,
        wanted: npt.NDArray[np.bool_] | None = None,
        allowed: AllowedItems | None = None,
    ) -> Proposals:
        """At most k items for each vector, best first, none of them excluded; vectors: (n, dim).

        excluded: a row for each vector; wanted: (n,) False for a vector that is not searched for; allowed: the items
        that may be found, None for all. They are looked for among these from the start, so that the k best are found.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.dim:
            raise ShapeMismatch(
                f"The index was asked with vectors of shape {vectors.shape}; its own have {self.dim} numbers.",
                "Ask it with the generator it was built from.",
            )
        n_queries = len(vectors)
        n_excluded = np.zeros(n_queries, np.int64) if excluded is None else excluded.lengths
        asked = np.ones(n_queries, bool) if wanted is None else wanted
        among = None if allowed is None else self._among(allowed)
        n_there = len(self.item_idx) if among is None else among.n_positions
        if k <= 0 or not n_there or not asked.any():
            return Proposals.none(n_queries)
        n_fetched = _rounded_up(k + n_excluded + TIES_FETCHED)
        parts = [self._fetch(vectors, asked & (n_fetched == n), int(n), among) for n in np.unique(n_fetched[asked])]
        rows, item_idx, scores = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        in_order = np.argsort(rows, kind="stable")
        keys = None if excluded is None else excluded.keys
        return best_first(rows[in_order], item_idx[in_order], scores[in_order], n_queries, k, keys)

    def _among(self, allowed: AllowedItems) -> _Among:
        """Where the allowed items stand in this index; worked out once for each filter."""
        return allowed.kept((KIND, self.embeddings_fingerprint, self.is_exact), lambda: self._positions_of(allowed))

    def _positions_of(self, allowed: AllowedItems) -> _Among:
        mask = allowed.contains(self.item_idx)
        n_positions = int(mask.sum())
        if self.is_exact or n_positions <= EXACT_AMONG:
            return _Among(n_positions, _FAISS.IDSelectorArray(np.flatnonzero(mask)), one_by_one=True)
        bits = np.packbits(mask, bitorder="little")
        return _Among(n_positions, _FAISS.IDSelectorBitmap(bits), one_by_one=False)

    def _fetch(
        self, vectors: FloatArray, chosen: npt.NDArray[np.bool_], n_fetched: int, among: _Among | None
    ) -> tuple[Rows, ItemIdxArray, FloatArray]:
        """The nearest items of the chosen vectors. The excluded may all be among them, so that many more are fetched.

        How many are fetched changes what an approximate index finds: it hangs on the query alone.
        """
        n = min(n_fetched, len(self.item_idx) if among is None else among.n_positions)
        queries = np.ascontiguousarray(vectors[chosen], np.float32)
        searcher = self._vectors if among is not None and among.one_by_one else self.searcher
        scores, positions = searcher.search(queries, n, params=self._search_params(n_fetched, among))
        reached = positions >= 0  # HNSW pads with -1 what it could not reach
        rows = np.repeat(np.flatnonzero(chosen), n).reshape(positions.shape)[reached]
        return rows, self.item_idx[positions[reached]], scores[reached]

    @property
    def _vectors(self) -> Any:
        """The vectors one after the other, in which a few are looked at each."""
        return self.searcher if self.is_exact else faiss.downcast_index(self.searcher.storage)

    def _search_params(self, n_fetched: int, among: _Among | None) -> Any:
        if among is not None and among.one_by_one:
            return _FAISS.SearchParameters(sel=among.selector)
        if self.is_exact:
            return None
        effort = max(self.ef_search, n_fetched)
        if among is None:
            return _FAISS.SearchParametersHNSW(efSearch=effort)
        # Of what the search meets so many fewer are allowed, so that it must meet so many more.
        effort = math.ceil(effort * len(self.item_idx) / among.n_positions)
        return _FAISS.SearchParametersHNSW(efSearch=effort, sel=among.selector)

    def measured(self, vectors: FloatArray, queries: FloatArray, k: int) -> VectorIndex:
        """This index with its recall at k against exact search over the same vectors; queries: (n_queries, dim)."""
        if not len(queries):
            raise DataTooSmall("There is nobody to measure the index with.", "Bring more data.")
        exact = VectorIndex.exact(vectors, self.ids_fingerprint)
        recalls = [_recalls(exact.search(block, k), self.search(block, k)) for block in _blocks(queries)]
        return replace(self, recall=float(np.mean(np.concatenate(recalls))), recall_k=k)

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


@dataclass(frozen=True)
class _Among:
    """The positions of an index that a filter allows. selector: FAISS's; one_by_one: so few that each is looked at."""

    n_positions: int
    selector: Any
    one_by_one: bool


def read_searcher(content: bytes) -> Any:
    """The FAISS index in these bytes; raises ValueError where FAISS refuses them. Bytes of which it could make a crash
    must be kept from it by `check_index_bytes`."""
    try:
        return faiss.deserialize_index(np.frombuffer(content, np.uint8))
    except RuntimeError as error:
        raise ValueError(f"FAISS refuses it: {error}") from error


def _rounded_up(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Each count, or the next power of two: few different ones, so that many queries are searched together."""
    return np.exp2(np.ceil(np.log2(counts))).astype(np.int64)


def _blocks(queries: FloatArray) -> Iterator[FloatArray]:
    return (queries[start : start + MEASURED_TOGETHER] for start in range(0, len(queries), MEASURED_TOGETHER))


def _recalls(exact: Proposals, approximate: Proposals) -> npt.NDArray[np.float64]:
    """(n_queries,) the share of the exact proposals that the others hold too."""
    also = is_among(pair_keys(exact.rows, exact.item_idx), np.sort(pair_keys(approximate.rows, approximate.item_idx)))
    return sum_by(exact.rows, also.astype(np.float64), len(exact)) / np.maximum(np.diff(exact.offsets), 1)


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
