"""Item to item by models that speak of all pairs: EASE, and a filter over the graph of who touched what.

Their weights of all pairs are worked out for some items at a time, and only the nearest of each are kept, so that what
they have learnt is proposed and scored as any other item to item is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from scipy.linalg import lapack
from scipy.sparse import csr_matrix, diags_array
from scipy.sparse.linalg import svds
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from contracts.calendar import SECONDS_PER_DAY
from contracts.errors import DataTooSmall
from contracts.ids import FloatArray
from contracts.settings.candidates import EaseSettings, GraphFilterSettings
from recommender.catalogue import Catalogue
from recommender.generators.item_to_item import ItemToItemGenerator, Pooling
from recommender.generators.nearest_regression import nearest_of_sparse, regressed_on_nearest
from recommender.generators.neighbours import generator_of_nearest
from recommender.interactions import Interactions
from recommender.proposals import Proposals, best_first
from recommender.ragged import Offsets, offsets_of

MOST_PAIRS_AT_ONCE = 4_000_000
LONG_ROW = 4  # times the neighbours that are kept

Weights = npt.NDArray[np.float64]
AnyWeights = npt.NDArray[np.float64] | npt.NDArray[np.float32]


def fit_ease(
    interactions: Interactions, catalogue: Catalogue, as_of: float, settings: EaseSettings, history_length: int
) -> ItemToItemGenerator:
    """Each item as the sum of the others that tells best who touched it, in closed form; the largest weights are kept.

    Source: Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019, eq. 8.
    """
    touched = _touched(interactions, len(catalogue), as_of, settings.decay_days)
    mass = np.asarray(touched.sum(axis=0)).ravel()
    mass = np.where(mass > 0, mass, 1)
    penalties = settings.regularization * mass**settings.regularization_power
    of_history, of_neighbour = mass**-settings.history_damping, mass**-settings.neighbour_damping
    if settings.length_power:
        touched = csr_matrix(diags_array(np.diff(touched.indptr) ** (-settings.length_power / 2)) @ touched)
    if settings.n_regressors is None:
        inverse = _inverse((touched.T @ touched).toarray(), penalties)  # P
        divisors = -inverse.diagonal() / of_neighbour

        def weights(rows: slice) -> Weights:  # B = -P / diag(P), of which row i says what item i adds to every other
            return inverse[rows] / divisors * of_history[rows, None]

        nearest = nearest_of(weights, len(catalogue), settings.n_neighbours)
    else:
        told = regressed_on_nearest(touched, mass, penalties, settings.n_regressors)
        scaled = csr_matrix(diags_array(of_history) @ told @ diags_array(of_neighbour))
        nearest = nearest_of_sparse(scaled, settings.n_neighbours)
    return generator_of_nearest("ease", nearest, Pooling.MEAN, catalogue, history_length, settings.step_weight)


def fit_graph_filter(
    interactions: Interactions, catalogue: Catalogue, as_of: float, settings: GraphFilterSettings, history_length: int
) -> ItemToItemGenerator:
    """Who touched what, as a graph: its neighbours two steps away, and its smoothest signals.

    Source: Shen et al., "How Powerful is Graph Convolution for Recommendation?", CIKM 2021 (GF-CF), eq. 13.
    """
    touched = _touched(interactions, len(catalogue), as_of, settings.decay_days)
    if min(touched.shape) <= settings.dim:
        raise DataTooSmall(
            f"graph_filter wants {settings.dim} directions of {touched.shape[0]} people by {touched.shape[1]} items.",
            "Lower candidates.graph_filter.dim in params.yaml, or set candidates.graph_filter to null.",
        )
    mass = np.asarray(touched.sum(axis=0)).ravel()
    item_scale = 1 / np.sqrt(np.where(mass > 0, mass, np.inf))
    length = np.asarray(touched.sum(axis=1)).ravel()
    normalised = csr_matrix(diags_array(1 / np.sqrt(length)) @ touched @ diags_array(item_scale))  # R
    with threadpool_limits(1, "blas"):  # more would split sums differently from machine to machine
        _, _, directions = svds(normalised, k=settings.dim, v0=np.ones(min(touched.shape)))
    left, by_item = csr_matrix(normalised.T), np.ascontiguousarray(directions.T)  # U
    root_mass = np.sqrt(mass)

    def weights(rows: slice) -> Weights:
        smooth = (by_item[rows] * item_scale[rows, None]) @ directions * root_mass
        return np.asarray((left[rows] @ normalised).toarray() + settings.smoothness * smooth)

    nearest = nearest_of(weights, len(catalogue), settings.n_neighbours)
    return generator_of_nearest("graph_filter", nearest, Pooling.MEAN, catalogue, history_length, settings.step_weight)


def nearest_of(weights: Callable[[slice], AnyWeights], n_items: int, n_neighbours: int) -> Proposals:
    """Each item's n_neighbours with the largest weights above 0, equal ones in the order of the index; not itself.

    weights: (n_rows, n_items) what the items of some rows, which follow each other, say of all.
    """
    with threadpool_limits(1, "blas"):
        parts = [_nearest_of_rows(weights(rows), rows.start, n_neighbours) for rows in _portions(n_items)]
    lengths = np.concatenate([np.empty(0, np.int64), *(np.diff(part.offsets) for part in parts)])
    item_idx = np.concatenate([np.empty(0, np.int32), *(part.item_idx for part in parts)])
    scores = np.concatenate([np.empty(0, np.float32), *(part.scores for part in parts)])
    return Proposals(offsets_of(lengths), item_idx, scores)


def _nearest_of_rows(weights: AnyWeights, start: int, n_neighbours: int) -> Proposals:
    n_rows, n_items = weights.shape
    narrow = weights.astype(np.float32)
    narrow[np.arange(n_rows), np.arange(start, start + n_rows)] = 0
    offsets = np.arange(0, narrow.size + 1, n_items, dtype=np.int64)
    near = _contenders(offsets, narrow.ravel(), n_neighbours)
    return best_first(near // n_items, (near % n_items).astype(np.int32), narrow.ravel()[near], n_rows, n_neighbours)


def _portions(n_items: int) -> Iterator[slice]:
    step = max(1, MOST_PAIRS_AT_ONCE // max(n_items, 1))
    return (slice(start, min(start + step, n_items)) for start in range(0, n_items, step))


def _touched(interactions: Interactions, n_items: int, as_of: float, decay_days: float | None) -> csr_matrix:
    """(n_users, n_items) 1 where somebody touched an item, or less where that was long ago."""
    ages = interactions.ages(as_of) / SECONDS_PER_DAY
    return interactions.touched(n_items, np.ones(len(ages)) if decay_days is None else np.exp(-ages / decay_days))


def _inverse(gram: Weights, penalties: Weights) -> Weights:
    """Of gram with the penalties (n_items,) on its diagonal, which is positive definite; `gram` is overwritten."""
    gram[np.diag_indices_from(gram)] += penalties
    with threadpool_limits(1, "blas"):  # more would split sums differently from machine to machine
        factor, _ = lapack.dpotrf(gram.T, lower=1, overwrite_a=1)
        inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
    upper: Weights = inverse.T  # in the order of C: what stands below the diagonal is of no meaning
    for row in range(len(upper)):
        upper[row + 1 :, row] = upper[row, row + 1 :]
    return upper


def _contenders(offsets: Offsets, weights: FloatArray, n: int) -> npt.NDArray[np.intp]:
    """The positions of the weights above 0 that may be among the n largest of their row, and of few others.

    Putting a row in order takes many times as long as looking for its n-th largest: long rows are cut there first.
    """
    floors = np.zeros(len(offsets) - 1, np.float32)
    for row in np.flatnonzero(np.diff(offsets) > LONG_ROW * n).tolist():
        floors[row] = np.partition(weights[offsets[row] : offsets[row + 1]], -n)[-n]
    return np.flatnonzero((weights > 0) & (weights >= floors.repeat(np.diff(offsets))))
