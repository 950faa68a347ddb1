"""What a generator or the index proposes, and the one rule for the k best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from contracts.ids import FloatArray, ItemIdxArray


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


def best_first(item_idx: ItemIdxArray, scores: FloatArray, k: int, excluded: ItemIdxArray) -> Proposals:
    """The k best of the items given, best first: the one rule for top-k.

    Excluded items and NaN scores are left out; equal scores come in the order of item_idx.
    """
    eligible = ~np.isnan(scores)
    if len(excluded):
        eligible &= ~np.isin(item_idx, excluded)
    item_idx, scores = item_idx[eligible], scores[eligible]
    if 0 < k < len(scores):
        # Only what reaches the k-th score is sorted; all that tie with it stay, so that ties break by item_idx.
        reaches = scores >= np.partition(scores, len(scores) - k)[len(scores) - k]
        item_idx, scores = item_idx[reaches], scores[reaches]
    order = np.lexsort((item_idx, -scores))[: max(k, 0)]
    return Proposals(item_idx[order].astype(np.int32, copy=False), scores[order].astype(np.float32, copy=False))
