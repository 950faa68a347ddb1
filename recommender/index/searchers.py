"""The kinds of index that FAISS offers and we use: how each is built, and with how much effort it is searched.

    flat        every vector is looked at; exact
    by_length   the longest vectors are looked at, until none that follows can be among the best; exact
    hnsw        a graph of near neighbours beside the vectors; most memory, slow to build
    ivf_flat    the vectors in lists by their nearest centre; some lists are looked at
    ivf_sq8     the same, a byte a number: a quarter of the memory
    ivf_pq      the same, half a byte a number (product quantisation, fast scan): an eighth of the memory

Graphs and lists are made for distances, and lose the way among inner products of vectors of very different lengths, as
those of ALS are. So all kinds but the exact ones hold each vector with one number more, which makes all of them equally
long: then the nearest by distance is the one with the largest inner product. What they find is put in order by the
items' own vectors, so that a score is a score whatever the index.

Source: Bachrach et al., "Speeding up the Xbox recommender system using a Euclidean transformation for inner-product
spaces", RecSys 2014.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import faiss
import numpy as np
import numpy.typing as npt

from contracts.ids import FloatArray
from contracts.settings.index import IndexKind, IndexSettings

FAISS: Any = faiss  # the stubs that come with it lack classes and arguments

EXACT: Final = ("flat", "by_length")  # kinds that find the very best
QUANTISED: Final = ("ivf_sq8", "ivf_pq")  # kinds that do not hold the vectors themselves
# For each item wanted so many are fetched: what a few bits say of the order is not quite the order.
FETCHED_FOR_EACH: Final = {"ivf_sq8": 2, "ivf_pq": 4}
# In the lists that are looked at lie so many times the items fetched, or more lists are.
LISTED_FOR_EACH: Final = 8
READ_TOGETHER: Final = 65_536  # vectors
LEARNT_FROM: Final = 64  # vectors for each list; with 256, as FAISS has it, recall is the same
FEWEST_IN_A_LIST: Final = 39  # to learn a centre from; below, FAISS warns
FEWEST_IN_LISTS: Final = 16 * FEWEST_IN_A_LIST  # in all: half a byte has 16 centres


def kind_for(n_vectors: int, settings: IndexSettings) -> IndexKind:
    """The kind of index for so many vectors: what the settings say, where they are not few."""
    if n_vectors < settings.exact_below:
        return "flat"
    kind: IndexKind = "ivf_sq8" if settings.kind == "auto" else settings.kind
    return "flat" if kind.startswith("ivf") and n_vectors < FEWEST_IN_LISTS else kind


def built_searcher(kind: IndexKind, vectors: FloatArray, settings: IndexSettings) -> Any:
    """A FAISS index of these vectors, (n_vectors, dim), at their positions. Equal input, equal bytes."""
    held = vectors if kind in EXACT else equally_long(vectors)
    searcher = _empty(kind, len(held), held.shape[1], settings)
    with one_thread(), sums_by_blas():  # links and centres depend on the order of insertion and of sums
        if not searcher.is_trained:
            searcher.train(held)
        searcher.add(held)
    return searcher


def equally_long(vectors: FloatArray) -> FloatArray:
    """(n, dim + 1) the vectors with one number more, by which all of them are as long as the longest.

    Of a question it is 0: the square distance to an item is then the two lengths' squares less twice the inner product.
    """
    squares = np.square(vectors.astype(np.float64)).sum(axis=1)
    more = np.sqrt(squares.max(initial=0.0) - squares)
    return np.column_stack([vectors, more.astype(np.float32)])


def is_equally_long(searcher: Any) -> bool:
    """Whether the index holds one number more of each vector; graphs of before did not."""
    return bool(searcher.metric_type == faiss.METRIC_L2)


def as_questions(searcher: Any, vectors: FloatArray) -> FloatArray:
    """The vectors as this index is asked for them."""
    if not is_equally_long(searcher):
        return np.ascontiguousarray(vectors, np.float32)
    return np.column_stack([vectors, np.zeros(len(vectors), np.float32)])


def n_lists(n_vectors: int, settings: IndexSettings) -> int:
    """How many lists the vectors are divided into."""
    wanted = settings.ivf_lists or round(4 * math.sqrt(n_vectors))
    return max(1, min(wanted, n_vectors // FEWEST_IN_A_LIST))


def probes(searcher: Any, least: int, n_fetched: int, share: float) -> int:
    """How many lists are looked at to find so many items. share: of the items that are allowed."""
    per_list = max(searcher.ntotal / searcher.nlist, 1) * share
    wanted: int = max(least, math.ceil(LISTED_FOR_EACH * n_fetched / per_list))
    n_there: int = searcher.nlist
    return min(n_there, wanted)


def held_vectors(searcher: Any, kind: IndexKind) -> Iterator[tuple[npt.NDArray[np.int64], FloatArray]]:
    """The vectors as the index holds them, some at a time: (n,) their positions, and (n, dim) the vectors."""
    if kind == "ivf_pq":
        yield from (_of_list(searcher, number) for number in range(searcher.nlist))
        return
    for start in range(0, searcher.ntotal, READ_TOGETHER):
        positions = np.arange(start, min(start + READ_TOGETHER, searcher.ntotal))
        yield positions, searcher.reconstruct_n(start, len(positions))


def _of_list(searcher: Any, number: int) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """One list of a product quantiser. Of an index that was read, FAISS 1.15 reconstructs no vector: it crashes."""
    lists, packer = searcher.invlists, searcher.get_CodePacker()
    length = lists.list_size(number)
    if not length:
        return np.empty(0, np.int64), np.empty((0, searcher.d), np.float32)
    n_blocks = math.ceil(length / packer.nvec)
    blocks = faiss.rev_swig_ptr(lists.get_codes(number), n_blocks * packer.block_size)
    codes = np.empty((n_blocks, packer.nvec * packer.code_size), np.uint8)
    for block in range(n_blocks):
        packed = blocks[block * packer.block_size : (block + 1) * packer.block_size].copy()
        packer.unpack_all(faiss.swig_ptr(packed), faiss.swig_ptr(codes[block]))
    positions = faiss.rev_swig_ptr(lists.get_ids(number), length).copy()
    return positions, searcher.pq.decode(codes.reshape(-1, packer.code_size)[:length])


# Inner products one vector after the other: with many queries FAISS asks BLAS, whose sums have another order.
NEVER_BY_BLAS: Final = 2**30
faiss.cvar.distance_compute_blas_threshold = NEVER_BY_BLAS


@contextmanager
def sums_by_blas() -> Iterator[None]:
    """Distances by BLAS, while an index is built: learning centres takes a tenth of the time."""
    faiss.cvar.distance_compute_blas_threshold = 20
    try:
        yield
    finally:
        faiss.cvar.distance_compute_blas_threshold = NEVER_BY_BLAS


@contextmanager
def one_thread() -> Iterator[None]:
    """FAISS with one thread, and afterwards with as many as before."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _empty(kind: IndexKind, n_vectors: int, dim: int, settings: IndexSettings) -> Any:
    """An index without vectors. dim: of what it holds."""
    searcher: Any
    lists = n_lists(n_vectors, settings)
    match kind:
        case "flat" | "by_length":
            return faiss.IndexFlatIP(dim)
        case "hnsw":
            searcher = faiss.IndexHNSWFlat(dim, settings.hnsw_links)
            searcher.hnsw.efConstruction = settings.hnsw_ef_construction
            return searcher
        case "ivf_flat":
            searcher = faiss.index_factory(dim, f"IVF{lists},Flat")
        case "ivf_sq8":
            searcher = faiss.index_factory(dim, f"IVF{lists},SQ8")
        case "ivf_pq":
            searcher = faiss.index_factory(dim, f"IVF{lists},PQ{dim}x4fs")
    searcher.by_residual = False  # vectors, and not their differences from the centre: as exact for us, and quicker
    searcher.cp.max_points_per_centroid = LEARNT_FROM
    return searcher
