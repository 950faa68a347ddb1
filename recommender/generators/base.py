"""The promise every candidate generator keeps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from contracts.artefact import Meta
from contracts.ids import FloatArray, ItemIdxArray
from recommender.query import RetrievalQuery


@dataclass(frozen=True)
class Proposals:
    """Items a generator proposes, best first; scores: aligned, higher is better."""

    item_idx: ItemIdxArray
    scores: FloatArray

    def __len__(self) -> int:
        return len(self.item_idx)

    @classmethod
    def none(cls) -> Proposals:
        return cls(np.empty(0, np.int32), np.empty(0, np.float32))


class Generator(Protocol):
    """Proposes candidates for a query, and has an opinion on any item.

    name: as in the parameter `request.quotas`. catalogue_fingerprint: of the item ids it was fitted on.
    Each implementation also has `load(folder, catalogue)`, which refuses another catalogue's ids.
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


def best_first(item_idx: ItemIdxArray, scores: FloatArray, k: int, excluded: ItemIdxArray) -> Proposals:
    """The k best of the items given, best first: the one rule for top-k.

    Excluded items and NaN scores are left out; equal scores come in the order of item_idx.
    """
    wanted = ~np.isnan(scores)
    if len(excluded):
        wanted &= ~np.isin(item_idx, excluded)
    item_idx, scores = item_idx[wanted], scores[wanted]
    if 0 < k < len(scores):
        # Only what reaches the k-th score is sorted; all that tie with it stay, so that ties break by item_idx.
        reaches = scores >= np.partition(scores, len(scores) - k)[len(scores) - k]
        item_idx, scores = item_idx[reaches], scores[reaches]
    order = np.lexsort((item_idx, -scores))[: max(k, 0)]
    return Proposals(item_idx[order].astype(np.int32, copy=False), scores[order].astype(np.float32, copy=False))
