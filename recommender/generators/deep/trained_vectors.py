"""What deep generators are fitted on and keep: items that somebody touched, and what speaks for a person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contracts.calendar import SECONDS_PER_DAY
from contracts.errors import DataTooSmall
from contracts.ids import FloatArray, ItemIdxArray
from recommender.interactions import Interactions
from recommender.ragged import Offsets, RaggedItems, pair_keys

HOURS_A_DAY = 24
FEWEST = 2  # items of a person, of which one is told by the other


@dataclass(frozen=True)
class Tastes:
    """The distinct items of each person, oldest first, by their last mention: as a request's taste is.

    items: a row for each person of the interactions; days: aligned with its items, the age of that last mention.
    touched: ascending, the items that anybody touched; the others are not learnt.
    """

    items: RaggedItems
    days: npt.NDArray[np.float64]
    touched: ItemIdxArray

    @classmethod
    def of(cls, interactions: Interactions, as_of: float, parameter: str) -> Tastes:
        """Raises DataTooSmall where nobody touched two items; parameter: what params.yaml calls who asks."""
        keys = pair_keys(interactions.user_idx.astype(np.int64), interactions.item_idx)
        # Reversed, np.unique finds the last mention as the first one.
        _, from_end = np.unique(keys[::-1], return_index=True)
        kept = np.sort(len(keys) - 1 - from_end)
        rows, items = interactions.user_idx[kept].astype(np.int64), interactions.item_idx[kept]
        found = RaggedItems.of_rows(rows, items, len(interactions.user_ids))
        if not (found.lengths >= FEWEST).any():
            raise DataTooSmall(
                f"{parameter} learns from people who touched two items; of {len(found)} there is none.",
                f"Bring more data, or set {parameter} to null in params.yaml.",
            )
        return cls(found, interactions.ages(as_of)[kept] / SECONDS_PER_DAY, np.unique(items).astype(np.int32))

    @property
    def dense(self) -> npt.NDArray[np.int32]:
        """(n_taste_items,) the place of each item among those that were touched."""
        return np.searchsorted(self.touched, self.items.item_idx).astype(np.int32)

    @property
    def offsets(self) -> Offsets:
        return self.items.offsets

    def weights(self, decay_days: float | None) -> FloatArray:
        """(n_taste_items,) how much each item counts, 1 / e where it is as old as decay_days; None: all alike."""
        ages = np.zeros(len(self.days)) if decay_days is None else self.days / decay_days
        return np.exp(-ages).astype(np.float32)

    def ahead(self, visit_gap_hours: float | None, horizon: int) -> tuple[Offsets, Offsets]:
        """(n_taste_items,) twice, first and end: what is to be told after each item is one of those at first:end.

        These are the next `horizon` items of the person that came after a pause as long as visit_gap_hours; None: the
        next ones, whenever they came.
        """
        places, rows = np.arange(len(self.days)), self.items.rows
        last_end = self.offsets[1:][rows]
        if visit_gap_hours is None:
            first = places + 1
        else:
            begins = np.ones(len(places), bool)  # of a visit
            begins[1:] = (np.diff(rows) != 0) | (-np.diff(self.days) * HOURS_A_DAY > visit_gap_hours)
            starts = np.flatnonzero(begins)
            first = np.append(starts, len(places))[np.searchsorted(starts, places, side="right")]
        first = np.minimum(first, last_end)
        return first, np.minimum(first + horizon, last_end)

    def spread(self, vectors: FloatArray, n_items: int) -> FloatArray:
        """(n_items, dim) the vectors of the touched items at their places among all; the others are zero."""
        spread = np.zeros((n_items, vectors.shape[1]), np.float32)
        spread[self.touched] = vectors
        return spread


def known_taste(queries_taste: RaggedItems, item_vectors: FloatArray, length: int) -> RaggedItems:
    """The latest items of tastes that have a vector, at most `length` of each."""
    items = queries_taste.where(queries_taste.item_idx < len(item_vectors))
    return items.where(np.asarray(item_vectors[items.item_idx].any(axis=1))).latest(length)
