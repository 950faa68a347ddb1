"""ALS that proposes through a vector index instead of looking at every item."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from contracts.artefact import Meta
from contracts.errors import ReleaseMismatch
from recommender.generators.als import AlsGenerator
from recommender.generators.base import EncodedQueries
from recommender.generators.by_vectors import EncodedVectors
from recommender.index.vector_index import VectorIndex
from recommender.query import QueryBatch


@dataclass(frozen=True)
class IndexedGenerator:
    """The generator `als`, with the same scores; what it proposes is found in the index.

    Raises ReleaseMismatch for an index that was built from other embeddings, or that holds other vectors.

    >>> import numpy as np
    >>> from contracts.id_map import IdMap
    >>> from contracts.settings.index import IndexSettings
    >>> from recommender.query import RetrievalQuery
    >>> ids, factors = IdMap.of(["a", "b", "c"]), np.array([[1, 0], [0.9, 0.1], [0, 1]], np.float32)
    >>> settings = IndexSettings(
    ...     exact_below=1000, hnsw_links=16, hnsw_ef_construction=100, hnsw_ef_search=50, recall_k=2, min_recall=0.9
    ... )
    >>> als = AlsGenerator(factors, regularization=0.1, alpha=10.0, catalogue_fingerprint=ids.fingerprint)
    >>> generator = IndexedGenerator(als, VectorIndex.build(factors, ids, settings))
    >>> ids.external(generator.encode(QueryBatch.of([RetrievalQuery(now=0, anchor=2)])).propose(k=1).item_idx)
    ['c']
    """

    als: AlsGenerator
    index: VectorIndex

    def __post_init__(self) -> None:
        embeddings = self.als.embeddings_fingerprint
        if self.index.embeddings_fingerprint != embeddings:
            raise ReleaseMismatch(
                f"The index was built from embeddings {self.index.embeddings_fingerprint}, "
                f"the generator holds {embeddings}.",
                "They belong to different releases. Run `dvc repro index`, or check out one release: "
                "`git checkout release/<id> && dvc checkout`.",
            )
        self.index.check_vectors(self.als.item_factors)

    @property
    def name(self) -> str:
        return self.als.name

    @property
    def catalogue_fingerprint(self) -> str:
        return self.als.catalogue_fingerprint

    def encode(self, queries: QueryBatch) -> EncodedQueries:
        return EncodedVectors(self.als.fold_in(queries), self.als.item_factors, self._searched)

    @cached_property
    def _searched(self) -> VectorIndex:
        return self.index.with_vectors(self.als.item_factors)

    def save(self, folder: Path) -> Meta:
        """Write the generator; the index is an artefact of its own."""
        return self.als.save(folder)
