"""What generators of vectors have in common: a query is a vector, and what is near it among the items' is proposed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contracts.ids import FloatArray
from recommender.index.vector_index import VectorIndex
from recommender.proposals import Proposals
from recommender.query import QueryBatch
from recommender.ragged import RaggedItems, dot_by_row


@dataclass(frozen=True)
class QueryVectors:
    """Queries as vectors among those of the items. vectors: (n_queries, dim); NaN where is_known is False."""

    queries: QueryBatch
    vectors: FloatArray
    is_known: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class EncodedVectors:
    """Queries as vectors, and the index in which what is near them is found.

    item_vectors: (n_items, dim), zero for an item of which nothing is known.
    """

    asked: QueryVectors
    item_vectors: FloatArray
    index: VectorIndex

    def propose(self, k: int) -> Proposals:
        asked = self.asked
        return self.index.search(asked.vectors, k, asked.queries.excluded, asked.is_known, asked.queries.allowed)

    def score(self, items: RaggedItems) -> FloatArray:
        vectors = self.item_vectors[items.item_idx]
        scores = dot_by_row(vectors, self.asked.vectors[items.rows])
        return np.where(vectors.any(axis=1), scores, np.float32(np.nan))
