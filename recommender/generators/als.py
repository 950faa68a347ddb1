"""Implicit alternating least squares: items near the taste that a history tells of.

Source: Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008.
No person's vector is kept: it is folded in from the history at hand, so that one code serves people and sessions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from contracts.artefact import Meta, check_built_with, fingerprint_array, load_array, load_meta, save_artefact
from contracts.cores import n_cores
from contracts.ids import FloatArray
from contracts.settings.candidates import AlsSettings
from recommender.catalogue import Catalogue
from recommender.generators.base import EncodedQueries
from recommender.generators.by_vectors import EncodedVectors, QueryVectors
from recommender.index.vector_index import VectorIndex
from recommender.interactions import Interactions
from recommender.query import QueryBatch

KIND = "generator-als"


@dataclass(frozen=True)
class AlsGenerator:
    """Items near the taste that a history tells of, by the factors of who touched what.

    item_factors: (n_items, factors), the paper's Y; zero for an item nobody had touched.

    >>> from contracts.features import History
    >>> from recommender.query import RetrievalQuery
    >>> factors = np.array([[1, 0], [0.9, 0.1], [0, 1]], np.float32)
    >>> generator = AlsGenerator(factors, regularization=0.1, alpha=10.0, catalogue_fingerprint="ids of three items")
    >>> item_0, a_minute_ago, no_value = np.array([0], np.int32), np.array([940]), np.array([np.nan], np.float32)
    >>> history = History.without_types(item_0, a_minute_ago, no_value)
    >>> queries = QueryBatch.of([RetrievalQuery(now=1000, history=history, excluded=item_0)])
    >>> generator.encode(queries).propose(k=1).item_idx.tolist()
    [1]
    """

    item_factors: FloatArray
    regularization: float
    alpha: float
    catalogue_fingerprint: str
    name: str = "als"

    @classmethod
    def fit(cls, interactions: Interactions, catalogue: Catalogue, settings: AlsSettings, seed: int) -> AlsGenerator:
        """Factorise who touched what; equal events, settings and seed give equal factors (on Spark: to rounding)."""
        touched = interactions.touched(len(catalogue), np.ones(len(interactions))).astype(np.float32)
        solve = _item_factors_in_process if settings.engine == "implicit" else _item_factors_on_spark
        factors = solve(touched, settings, seed)
        return cls(factors, settings.regularization, settings.alpha, catalogue.ids.fingerprint)

    @property
    def embeddings_fingerprint(self) -> str:
        """Of the item vectors; an index must have been built from these."""
        return fingerprint_array(self.item_factors)

    @cached_property
    def _gram(self) -> npt.NDArray[np.float64]:
        factors = self.item_factors.astype(np.float64)
        gram: npt.NDArray[np.float64] = factors.T @ factors + self.regularization * np.eye(factors.shape[1])
        return gram

    def fold_in(self, queries: QueryBatch) -> QueryVectors:
        """The vector x of whoever has each query's taste.

        Solves (YtY + Yt(C - I)Y + reg I) x = YtCp (eq. 4) with p = 1 and C = alpha for the items of the taste.
        """
        items = queries.taste_items
        items = items.where(items.item_idx < len(self.item_factors))
        items = items.where(self._has_factors[items.item_idx])
        known = np.flatnonzero(items.lengths)
        touched = [self.item_factors[items[row]].astype(np.float64) for row in known.tolist()]
        n_factors = self.item_factors.shape[1]
        # A product of its own for each query: one over all of them would add up in an order that hangs on the others.
        equations = np.empty((len(known), n_factors, n_factors))
        for at, factors in enumerate(touched):
            equations[at] = self._gram + (self.alpha - 1) * (factors.T @ factors)
        wanted = np.array([self.alpha * factors.sum(axis=0) for factors in touched]).reshape(len(known), n_factors)
        vectors = np.full((len(queries), n_factors), np.nan, np.float32)
        vectors[known] = np.linalg.solve(equations, wanted[:, :, None])[:, :, 0]
        is_known = np.zeros(len(queries), bool)
        is_known[known] = True
        return QueryVectors(queries, vectors, is_known)

    @cached_property
    def _has_factors(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.item_factors.any(axis=1))

    @cached_property
    def _exact_index(self) -> VectorIndex:
        return VectorIndex.exact(self.item_factors, self.catalogue_fingerprint)

    def encode(self, queries: QueryBatch) -> EncodedQueries:
        return EncodedVectors(self.fold_in(queries), self.item_factors, self._exact_index)

    def save(self, folder: Path) -> Meta:
        return save_artefact(
            folder,
            KIND,
            built_with={"catalogue ids": self.catalogue_fingerprint},
            arrays={"item_factors": self.item_factors},
            values={"regularization": self.regularization, "alpha": self.alpha},
        )

    @classmethod
    def load(cls, folder: Path, catalogue: Catalogue) -> AlsGenerator:
        """Read what `save` wrote; raises ReleaseMismatch when it was fitted on other item ids."""
        meta = load_meta(folder, KIND)
        check_built_with(f"generator {folder}", meta.built_with, "catalogue ids", catalogue.ids.fingerprint)
        return cls(
            load_array(folder, "item_factors", np.float32, (len(catalogue), None)),
            float(meta.values["regularization"]),
            float(meta.values["alpha"]),
            catalogue.ids.fingerprint,
        )


def _item_factors_in_process(touched: csr_matrix, settings: AlsSettings, seed: int) -> FloatArray:
    """(n_items, factors)"""
    # The server loads generators and never fits: it need not pay for these two.
    from implicit.cpu.als import AlternatingLeastSquares  # noqa: PLC0415 see above
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # noqa: PLC0415 see above

    # More BLAS threads than one would split sums differently from machine to machine.
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=settings.factors,
            regularization=settings.regularization,
            alpha=settings.alpha,
            iterations=settings.iterations,
            random_state=seed,
            num_threads=n_cores(),  # each person's and each item's equations are solved alone
        )
        model.fit(touched, show_progress=False)
    return np.asarray(model.item_factors, np.float32)


def _item_factors_on_spark(touched: csr_matrix, settings: AlsSettings, seed: int) -> FloatArray:
    """(n_items, factors)"""
    from recommender.generators.factors_on_spark import item_factors_on_spark  # noqa: PLC0415 - for those who ask

    return item_factors_on_spark(touched, settings, seed)
