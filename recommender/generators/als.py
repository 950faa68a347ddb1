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

from contracts.artefact import Meta, check_built_with, fingerprint_array, load_array, load_meta, save_artefact
from contracts.ids import FloatArray, ItemIdxArray
from contracts.settings.candidates import AlsSettings
from recommender.catalogue import Catalogue
from recommender.interactions import Interactions
from recommender.proposals import Proposals, best_first
from recommender.query import RetrievalQuery

KIND = "generator-als"


@dataclass(frozen=True)
class AlsGenerator:
    """Items near the taste that a history tells of, by the factors of who touched what.

    item_factors: (n_items, factors), the paper's Y; zero for an item nobody had touched.

    >>> from contracts.features import History
    >>> factors = np.array([[1, 0], [0.9, 0.1], [0, 1]], np.float32)
    >>> generator = AlsGenerator(factors, regularization=0.1, alpha=10.0, catalogue_fingerprint="ids of three items")
    >>> item_0, a_minute_ago, no_value = np.array([0], np.int32), np.array([940]), np.array([np.nan], np.float32)
    >>> history = History.without_types(item_0, a_minute_ago, no_value)
    >>> generator.propose(RetrievalQuery(now=1000, history=history, excluded=item_0), k=1).item_idx.tolist()
    [1]
    """

    item_factors: FloatArray
    regularization: float
    alpha: float
    catalogue_fingerprint: str
    name: str = "als"

    @classmethod
    def fit(cls, interactions: Interactions, catalogue: Catalogue, settings: AlsSettings, seed: int) -> AlsGenerator:
        """Factorise who touched what; equal events, settings and seed give equal factors."""
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
                num_threads=1,
            )
            model.fit(
                interactions.touched(len(catalogue), np.ones(len(interactions))).astype(np.float32), show_progress=False
            )
        item_factors = np.asarray(model.item_factors, np.float32)
        return cls(item_factors, settings.regularization, settings.alpha, catalogue.ids.fingerprint)

    @property
    def embeddings_fingerprint(self) -> str:
        """Of the item vectors; an index must have been built from these."""
        return fingerprint_array(self.item_factors)

    @cached_property
    def _gram(self) -> npt.NDArray[np.float64]:
        factors = self.item_factors.astype(np.float64)
        gram: npt.NDArray[np.float64] = factors.T @ factors + self.regularization * np.eye(factors.shape[1])
        return gram

    def user_vector(self, query: RetrievalQuery) -> FloatArray | None:
        """(factors,) the vector x of whoever has this taste; None where no item known to the factors speaks for it.

        Solves (YtY + Yt(C - I)Y + reg I) x = YtCp (eq. 4) with p = 1 and C = alpha for the items of the taste.
        """
        items = query.taste_items()
        touched = self.item_factors[items[items < len(self.item_factors)]].astype(np.float64)
        touched = touched[touched.any(axis=1)]
        if not len(touched):
            return None
        equation = self._gram + (self.alpha - 1) * (touched.T @ touched)
        return np.linalg.solve(equation, self.alpha * touched.sum(axis=0)).astype(np.float32)

    def propose(self, query: RetrievalQuery, k: int) -> Proposals:
        vector = self.user_vector(query)
        if vector is None:
            return Proposals.none()
        item_idx = np.arange(len(self.item_factors), dtype=np.int32)
        return best_first(item_idx, self._scores(vector, item_idx), k, query.excluded)

    def score(self, query: RetrievalQuery, item_idx: ItemIdxArray) -> FloatArray:
        vector = self.user_vector(query)
        if vector is None:
            return np.full(len(item_idx), np.nan, np.float32)
        return self._scores(vector, item_idx)

    def _scores(self, vector: FloatArray, item_idx: ItemIdxArray) -> FloatArray:
        factors = self.item_factors[item_idx]
        return np.where(factors.any(axis=1), factors @ vector, np.nan).astype(np.float32)

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
