"""The promise every candidate generator keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from contracts.artefact import Meta
from contracts.ids import FloatArray, ItemIdxArray
from recommender.proposals import Proposals
from recommender.query import RetrievalQuery


class Generator(Protocol):
    """Proposes candidates for a query, and has an opinion on any item.

    name: as in the parameter `request.quotas`. catalogue_fingerprint: of the item ids it was fitted on.
    Each implementation also has `load(folder, catalogue)`, which refuses another catalogue's ids.

    >>> import numpy as np
    >>> from recommender.generators.popular import PopularGenerator
    >>> generator = PopularGenerator("popular", np.array([0.5, 0.125, 0.375], np.float32), "ids of three items")
    >>> generator.propose(RetrievalQuery(now=0, excluded=np.array([0], np.int32)), k=2).item_idx.tolist()
    [2, 1]
    >>> generator.score(RetrievalQuery(now=0), np.array([1], np.int32)).tolist()
    [0.125]
    """

    @property
    def name(self) -> str: ...

    @property
    def catalogue_fingerprint(self) -> str: ...

    def propose(self, query: RetrievalQuery, k: int) -> Proposals:
        """At most k items, best first, none of them excluded; equal scores in the order of item_idx.

        Empty where the generator has nothing to go by.
        """
        ...

    def score(self, query: RetrievalQuery, item_idx: ItemIdxArray) -> FloatArray:
        """(n,) the generator's score of each item given; NaN where it has no opinion."""
        ...

    def save(self, folder: Path) -> Meta:
        """Write the generator as an artefact of its own folder."""
        ...
