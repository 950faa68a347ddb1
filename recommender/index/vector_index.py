"""The vector index: the items nearest to a vector, by inner product; of a kind that fits the size of the catalogue.

`recommender.index.searchers` says which kinds there are. Whatever the kind, few items that a filter allows are looked
at one by one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
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
from contracts.errors import ReleaseMismatch, ShapeMismatch
from contracts.fingerprint import canonical_json
from contracts.id_map import IdMap
from contracts.ids import FloatArray, ItemIdxArray
from contracts.settings.index import IndexKind, IndexSettings
from recommender.allowed_items import AllowedItems
from recommender.index.by_length import FIRST_LOOKED_AT, Found, lengths_of, n_looked_at, nearest_by_length
from recommender.index.index_file import Held
from recommender.index.saved_searcher import load_searcher
from recommender.index.searchers import (
    EXACT,
    FAISS,
    FETCHED_FOR_EACH,
    QUANTISED,
    as_questions,
    built_searcher,
    equally_long,
    held_vectors,
    is_equally_long,
    kind_for,
    probes,
)
from recommender.proposals import Proposals, best_first
from recommender.ragged import RaggedItems, Rows, dot_by_row

KIND = "vector-index"
FILE = "index.faiss"
RECALL = "recall.json"
# FAISS keeps any of the items that tie for the last place; a few more are fetched, so that ties break by item_idx.
TIES_FETCHED = 16
EXACT_AMONG = 50_000  # vectors: where a filter allows no more, looking at each is exact and takes a millisecond
SAME_ERROR = 1e-3  # of two sums of the same errors, relative


@dataclass(frozen=True)
class VectorIndex:
    """Finds items by inner product with a vector.

    item_idx: (n_vectors,) the item behind each position of the index; items without a vector are not in it.
    ids_fingerprint: of the catalogue's ids; embeddings_fingerprint: of the vectors it was built from.
    ef_search, n_probes: the least effort of a search, in a graph and in lists. error: the share of the vectors that the
    index does not hold, where it holds a few bits of each number.
    shortness: (n_vectors,) the lengths of the vectors with a minus, ascending, where they stand in this order.
    recall: at `recall_k` against exact search, NaN until measured; recall_among: the same among the items of a filter,
    by its name. item_vectors: (n_items, dim) what it was built from, not saved with it (`with_vectors`).

    >>> settings = IndexSettings(
    ...     exact_below=1000, hnsw_links=16, hnsw_ef_construction=100, hnsw_ef_search=50, recall_k=2, min_recall=0.9
    ... )
    >>> vectors = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    >>> index = VectorIndex.build(vectors, IdMap.of(["a", "b", "c"]), settings)
    >>> index.search(np.array([[0, 1]], np.float32), k=2).item_idx.tolist()
    [1, 2]
    >>> index.kind
    'flat'
    """

    searcher: Any  # a faiss index; the library publishes no types
    item_idx: ItemIdxArray
    ids_fingerprint: str
    embeddings_fingerprint: str
    kind: IndexKind
    ef_search: int
    n_probes: int = 0
    error: float = 0.0
    recall: float = float("nan")
    recall_k: int = 0
    recall_among: Mapping[str, float] = field(default_factory=dict)
    item_vectors: FloatArray | None = None
    shortness: FloatArray | None = None

    @classmethod
    def build(cls, vectors: FloatArray, ids: IdMap, settings: IndexSettings) -> VectorIndex:
        """Index the rows of vectors, aligned with `ids`; rows that are all zero stay out. Equal input, equal bytes."""
        if vectors.ndim != 2 or len(vectors) != len(ids):
            raise ShapeMismatch(
                f"The index got vectors of shape {vectors.shape} for {len(ids)} items.",
                "Give it one vector per item of the catalogue the vectors were fitted on.",
            )
        item_idx = np.flatnonzero(vectors.any(axis=1)).astype(np.int32)
        kind = kind_for(len(item_idx), settings)
        if kind == "by_length":
            item_idx = item_idx[np.argsort(-lengths_of(vectors[item_idx]), kind="stable")]
        searcher = built_searcher(kind, np.ascontiguousarray(vectors[item_idx], np.float32), settings)
        index = cls(
            searcher,
            item_idx,
            ids.fingerprint,
            fingerprint_array(vectors),
            kind,
            ef_search=settings.hnsw_ef_search,
            n_probes=settings.ivf_probes if kind.startswith("ivf") else 0,
            item_vectors=vectors,
            shortness=-lengths_of(vectors[item_idx]) if kind == "by_length" else None,
        )
        return replace(index, error=index._error(vectors)) if kind in QUANTISED else index

    @classmethod
    def exact(cls, vectors: FloatArray, ids_fingerprint: str) -> VectorIndex:
        """An index that looks at every row of vectors, (n_items, dim), but those that are all zero."""
        item_idx = np.flatnonzero(vectors.any(axis=1)).astype(np.int32)
        searcher = faiss.IndexFlatIP(vectors.shape[1])
        searcher.add(np.ascontiguousarray(vectors[item_idx], np.float32))
        fingerprint = fingerprint_array(vectors)
        return cls(searcher, item_idx, ids_fingerprint, fingerprint, "flat", ef_search=0, item_vectors=vectors)

    def with_vectors(self, item_vectors: FloatArray) -> VectorIndex:
        """This index with the vectors it was built from beside it: among few items, they are looked at one by one."""
        return replace(self, item_vectors=item_vectors)

    @property
    def is_exact(self) -> bool:
        return self.kind in EXACT

    @property
    def least_recall(self) -> tuple[float, str]:
        """The smallest of the recalls that were measured, and the name of the filter it was measured under, if any."""
        return min((recall, name) for name, recall in {"": self.recall, **self.recall_among}.items())

    @property
    def dim(self) -> int:
        return int(self.searcher.d) - is_equally_long(self.searcher)

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
        n_there = len(self.item_idx) if among is None else among.n_items
        if k <= 0 or not n_there or not asked.any():
            return Proposals.none(n_queries)
        n_fetched = _rounded_up(FETCHED_FOR_EACH.get(self.kind, 1) * (k + n_excluded) + TIES_FETCHED)
        parts = [self._fetch(vectors, asked & (n_fetched == n), int(n), among) for n in np.unique(n_fetched[asked])]
        rows, item_idx, scores = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        in_order = np.argsort(rows, kind="stable")
        keys = None if excluded is None else excluded.keys
        return best_first(rows[in_order], item_idx[in_order], scores[in_order], n_queries, k, keys)

    def _among(self, allowed: AllowedItems) -> _Among:
        """Where the allowed items stand in this index; worked out once for each filter."""
        return allowed.kept((KIND, self.embeddings_fingerprint, self.kind), lambda: self._among_of(allowed))

    def _among_of(self, allowed: AllowedItems) -> _Among:
        mask = allowed.contains(self.item_idx)
        n_items = int(mask.sum())
        if self.is_exact or n_items <= EXACT_AMONG:
            shortness = None if self.shortness is None else self.shortness[mask]
            return _Among(n_items, one_by_one=self.item_idx[mask].astype(np.int64), shortness=shortness)
        return _Among(n_items, selector=FAISS.IDSelectorBitmap(np.packbits(mask, bitorder="little")))

    def _fetch(
        self, vectors: FloatArray, chosen: npt.NDArray[np.bool_], n_fetched: int, among: _Among | None
    ) -> tuple[Rows, ItemIdxArray, FloatArray]:
        """The nearest items of the chosen vectors. The excluded may all be among them, so that many more are fetched.

        How many are fetched changes what an approximate index finds: it hangs on the query alone.
        """
        n = min(n_fetched, len(self.item_idx) if among is None else among.n_items)
        if among is not None and among.one_by_one is not None:
            queries = np.ascontiguousarray(vectors[chosen], np.float32)
            scores, found = self._one_by_one(queries, n, among.one_by_one, among.shortness)
        else:
            queries = as_questions(self.searcher, vectors[chosen])
            scores, positions = self._searched(queries, n, n_fetched, among)
            found = np.where(positions >= 0, self.item_idx[positions], -1)
        reached = found >= 0  # FAISS pads with -1 what it could not reach
        rows = np.repeat(np.flatnonzero(chosen), n).reshape(found.shape)[reached]
        item_idx = found[reached].astype(np.int32)
        if not is_equally_long(self.searcher):
            return rows, item_idx, scores[reached]
        return rows, item_idx, dot_by_row(self._item_vectors[item_idx], vectors[rows])

    def _searched(self, queries: FloatArray, n: int, n_fetched: int, among: _Among | None) -> Found:
        """(n_queries, n) scores and positions. The fast scan has other ways for many queries: it gets one at a time."""
        if self.shortness is not None:
            return nearest_by_length(queries, n, self.shortness, self._among_longest)
        params = self._effort(n_fetched, among)
        if self.kind != "ivf_pq":
            scores, positions = self.searcher.search(queries, n, params=params)
            return scores, positions
        parts = [self.searcher.search(query[None, :], n, params=params) for query in queries]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def _among_longest(self, queries: FloatArray, n: int, n_longest: int) -> Found:
        """(n_queries, n) scores and positions: the nearest of so many of the longest vectors."""
        longest = FAISS.IDSelectorRange(0, n_longest)
        scores, positions = self.searcher.search(queries, n, params=FAISS.SearchParameters(sel=longest))
        return scores, positions

    def n_looked_at(self, queries: FloatArray, k: int) -> npt.NDArray[np.int64]:
        """(n_queries,) how many vectors an exact search for k items looks at."""
        n_vectors = len(self.item_idx)
        if self.shortness is None:
            return np.full(len(queries), n_vectors)
        first = min(max(FIRST_LOOKED_AT, k), n_vectors)
        scores, _ = self._among_longest(np.ascontiguousarray(queries, np.float32), min(k, n_vectors), first)
        return n_looked_at(queries, scores[:, -1], self.shortness, first)

    def _one_by_one(
        self, queries: FloatArray, n: int, item_idx: npt.NDArray[np.int64], shortness: FloatArray | None
    ) -> Found:
        """(n_queries, n) scores and items: the nearest of these items, the longest first where that is known."""
        looked_at = partial(self._looked_at, item_idx)
        if shortness is None:
            return looked_at(queries, n, len(item_idx))
        return nearest_by_length(queries, n, shortness, looked_at)

    def _looked_at(self, item_idx: npt.NDArray[np.int64], queries: FloatArray, n: int, n_first: int) -> Found:
        """(n_queries, n) scores and items: the nearest of the first of these items, each looked at."""
        vectors = self._item_vectors
        scores, found = np.empty((len(queries), n), np.float32), np.empty((len(queries), n), np.int64)
        arrays = [faiss.swig_ptr(array) for array in (queries, vectors, item_idx)]
        results = [faiss.swig_ptr(array) for array in (scores, found)]
        FAISS.knn_inner_products_by_idx(*arrays, self.dim, len(queries), len(vectors), n_first, n, *results, ld_ids=0)
        return scores, found

    @property
    def _item_vectors(self) -> FloatArray:
        if self.item_vectors is None:
            raise ShapeMismatch(
                f"An index of kind {self.kind} was searched without the vectors it was built from.",
                "Give it those of its generator: `with_vectors`.",
            )
        return self.item_vectors

    def _effort(self, n_fetched: int, among: _Among | None) -> Any:
        """FAISS's parameters of a search. Of what is met only a share is allowed, so that more must be met."""
        if self.is_exact:
            return None
        share = 1.0 if among is None else among.n_items / len(self.item_idx)
        selected = {} if among is None else {"sel": among.selector}
        if self.kind == "hnsw":
            effort = math.ceil(max(self.ef_search, n_fetched) / share)
            return FAISS.SearchParametersHNSW(efSearch=effort, **selected)
        n_probes = probes(self.searcher, self.n_probes, n_fetched, share)
        return FAISS.SearchParametersIVF(nprobe=n_probes, **selected)

    def is_enough(self, min_recall: float) -> bool:
        """Whether each of the recalls that were measured is as large."""
        return self.least_recall[0] >= min_recall

    @property
    def least_effort(self) -> int:
        """That a search makes: `ef_search` or `n_probes`."""
        return self.ef_search if self.kind == "hnsw" else self.n_probes

    def with_effort(self, effort: int) -> VectorIndex:
        """This index, searched with so much effort, or all that there is."""
        if self.is_exact:
            return self
        if self.kind == "hnsw":
            return replace(self, ef_search=min(effort, len(self.item_idx)))
        return replace(self, n_probes=min(effort, int(self.searcher.nlist)))

    def save(self, folder: Path) -> Meta:
        """Write the index, its id map and `recall.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        measured = {
            "recall": None if np.isnan(self.recall) else self.recall,
            "recall_k": self.recall_k,
            "recall_among": dict(self.recall_among),
        }
        (folder / FILE).unlink(missing_ok=True)  # whoever has mapped it keeps the old one
        (folder / FILE).write_bytes(faiss.serialize_index(self.searcher).tobytes())
        (folder / RECALL).write_bytes(canonical_json(measured) + b"\n")
        effort = {"ef_search": self.ef_search, "n_probes": self.n_probes, "error": self.error}
        return save_artefact(
            folder,
            KIND,
            built_with={"catalogue ids": self.ids_fingerprint, "embeddings": self.embeddings_fingerprint},
            arrays={"item_idx": self.item_idx, **({} if self.shortness is None else {"lengths": -self.shortness})},
            values={"dim": self.dim, "kind": self.kind, "exact": self.is_exact, **effort, **measured},
        )

    @classmethod
    def load(cls, folder: Path, ids: IdMap) -> VectorIndex:
        """Read what `save` wrote, now or before; a large index is mapped.

        Raises ArtefactError when damaged, ReleaseMismatch when of other item ids.
        """
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
        kind = values.get("kind", "flat" if values["exact"] else "hnsw")  # before there were others
        with reading(folder / FILE):
            by_distance = "kind" in values and kind not in EXACT
            held = Held(len(item_idx), dim + by_distance, by_distance)
            searcher = load_searcher(folder / FILE, held, kind)
        return cls(
            searcher,
            item_idx,
            ids.fingerprint,
            meta.built_with["embeddings"],
            kind,
            int(values["ef_search"]),
            int(values.get("n_probes", 0)),
            float(values.get("error", 0.0)),
            float("nan") if values["recall"] is None else float(values["recall"]),
            int(values["recall_k"]),
            {str(name): float(recall) for name, recall in values.get("recall_among", {}).items()},
            shortness=-load_array(folder, "lengths", np.float32, (len(item_idx),)) if kind == "by_length" else None,
        )

    def check_vectors(self, vectors: FloatArray) -> None:
        """Refuse an index that holds other vectors than these, whatever it says it was built from.

        One that holds a few bits of each number must lose as much of them as it did when it was built.
        """
        own = np.flatnonzero(vectors.any(axis=1))
        if not np.array_equal(own, np.sort(self.item_idx)) or not self._holds(vectors):
            parts = [part[:, : self.dim] for _, part in held_vectors(self.searcher, self.kind)]
            held = np.concatenate([np.empty((0, self.dim), np.float32), *parts])
            raise ReleaseMismatch(
                f"The index says that it was built from embeddings {self.embeddings_fingerprint}, but its vectors are "
                f"{fingerprint_array(held)}; theirs are {fingerprint_array(vectors[own])}.",
                "They belong to different releases. Run `dvc repro index`, or check out one release: "
                "`git checkout release/<id> && dvc checkout`.",
            )

    def _holds(self, vectors: FloatArray) -> bool:
        if self.kind in QUANTISED:
            return math.isclose(self._error(vectors), self.error, rel_tol=SAME_ERROR)
        # What was added to make them equally long may be rounded otherwise by another processor.
        pairs = self._compared(vectors)
        return all(np.array_equal(held[:, : self.dim], expected[:, : self.dim]) for held, expected in pairs)

    def _error(self, vectors: FloatArray) -> float:
        """The share of the square lengths of the vectors that the index does not hold."""
        lost = whole = 0.0
        for held, expected in self._compared(vectors):
            exact = expected.astype(np.float64)
            lost, whole = lost + float(np.square(held - exact).sum()), whole + float(np.square(exact).sum())
        return lost / whole if whole else 0.0

    def _compared(self, vectors: FloatArray) -> Iterator[tuple[FloatArray, FloatArray]]:
        """The vectors that the index holds beside those it should, some at a time."""
        own = vectors[self.item_idx]
        should = equally_long(own) if is_equally_long(self.searcher) else own
        for positions, held in held_vectors(self.searcher, self.kind):
            yield held, should[positions]


@dataclass(frozen=True)
class _Among:
    """The items of an index that a filter allows.

    one_by_one: all of them, where they are few or the index is exact; else there is a selector. shortness: of their
    vectors, where they stand in this order.
    """

    n_items: int
    one_by_one: npt.NDArray[np.int64] | None = None
    shortness: FloatArray | None = None
    selector: Any = None


def _rounded_up(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Each count, or the next power of two: few different ones, so that many queries are searched together."""
    return np.exp2(np.ceil(np.log2(counts))).astype(np.int64)
