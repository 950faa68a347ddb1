"""The promise every candidate generator keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from contracts.artefact import Meta
from contracts.calendar import SECONDS_PER_DAY
from contracts.ids import FloatArray
from recommender.catalogue import Catalogue
from recommender.interactions import Interactions
from recommender.proposals import Proposals
from recommender.query import QueryBatch
from recommender.ragged import RaggedItems


class EncodedQueries(Protocol):
    """What a generator makes of a batch of queries, worked out once for proposing and for scoring."""

    def propose(self, k: int) -> Proposals:
        """At most k items for each query, best first, none of them excluded; equal scores in the order of item_idx.

        None where the generator has nothing to go by. Where the queries allow some items alone, the k best of these.
        Scores of proposals are finite.
        """
        ...

    def score(self, items: RaggedItems) -> FloatArray:
        """(n_items,) the generator's score of each item for its row's query: finite, or NaN for no opinion."""
        ...


class Generator(Protocol):
    """Proposes candidates for queries, and has an opinion on any item.

    name: as in the parameter `request.quotas`. catalogue_fingerprint: of the item ids it was fitted on.
    What a query is answered does not depend on the batch that it is in, to the last bit.
    Each implementation also has `load(folder, catalogue)`, which refuses another catalogue's ids.

    >>> import numpy as np
    >>> from recommender.generators.popular import PopularGenerator
    >>> from recommender.query import RetrievalQuery
    >>> generator = PopularGenerator("popular", np.array([0.5, 0.125, 0.375], np.float32), "ids of three items")
    >>> queries = QueryBatch.of([RetrievalQuery(now=0, excluded=np.array([0], np.int32)), RetrievalQuery(now=0)])
    >>> encoded = generator.encode(queries)
    >>> encoded.propose(k=2).item_idx.tolist()
    [2, 1, 0, 2]
    >>> encoded.score(RaggedItems.of([np.array([1], np.int32), np.array([0], np.int32)])).tolist()
    [0.125, 0.5]
    """

    @property
    def name(self) -> str: ...

    @property
    def catalogue_fingerprint(self) -> str: ...

    def encode(self, queries: QueryBatch) -> EncodedQueries:
        """What these queries say to this generator."""
        ...

    def save(self, folder: Path) -> Meta:
        """Write the generator as an artefact of its own folder."""
        ...


@dataclass(frozen=True)
class FitInputs:
    """What generators are fitted on: nothing of it happened at `as_of` or later. segments: by user_id.

    as_of: epoch seconds. seed: of whatever is drawn at random.
    """

    interactions: Interactions
    catalogue: Catalogue
    as_of: float
    segments: Mapping[str, Mapping[str, str]]
    seed: int

    @cached_property
    def days(self) -> npt.NDArray[np.float64]:
        """(n_events,) how old each event is."""
        return self.interactions.ages(self.as_of) / SECONDS_PER_DAY

    @cached_property
    def returning(self) -> npt.NDArray[np.bool_]:
        """(n_events,) True for what somebody did who had come back."""
        return self.interactions.returning()
