"""What deep generators are fitted on and keep: items that somebody touched, and what speaks for a person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from contracts.calendar import SECONDS_PER_DAY
from contracts.errors import DataTooSmall
from contracts.ids import FloatArray, ItemIdxArray
from contracts.settings.candidates import DeepSettings
from recommender.generators.by_vectors import QueryVectors
from recommender.generators.deep.training.examples import count_for_anything
from recommender.generators.deep.training.exchange import Arrays
from recommender.interactions import Interactions
from recommender.query import QueryBatch
from recommender.ragged import Offsets, RaggedItems, pair_keys

HOURS_A_DAY = 24
FEWEST = 2  # items of a person, of which one is told by the other


@dataclass(frozen=True)
class Tastes:
    """The distinct items of each person, oldest first, by their last mention: as a request's taste is.

    items: a row for each person of the interactions; days: aligned with its items, the age of that last mention.
    touched: ascending, the items that anybody touched.
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

    def told(self, settings: DeepSettings, parameter: str, learnt: ItemIdxArray) -> Arrays:
        """What a guest learns from: `items` of all people, as places among `learnt`, and their `offsets`; what is to be
        told after an item is one of the items at `first`:`end`; `weights`: how much an item counts where it is told.

        learnt: ascending, the touched items among them. Raises DataTooSmall where there is nothing to tell, or nothing
        that counts.
        """
        first, end = self.ahead(settings.visit_gap_hours, settings.horizon)
        if not (first < end).any():
            raise DataTooSmall(
                f"{parameter} learns what people come back for, and nobody came back after a pause of "
                f"{settings.visit_gap_hours} hours.",
                f"Set {parameter}.visit_gap_hours to null in params.yaml, so that it learns what comes next.",
            )
        items = np.searchsorted(learnt, self.items.item_idx).astype(np.int32)
        weights = self.weights(settings.decay_days)
        is_told = (
            np.cumsum(np.bincount(first, minlength=len(items) + 1) - np.bincount(end, minlength=len(items) + 1)) > 0
        )
        if not count_for_anything(weights[is_told[:-1]]):
            raise DataTooSmall(
                f"{parameter} learns from what was wanted of late, and all that there is to tell is so much older than "
                f"decay_days, {settings.decay_days}, that it counts nothing.",
                f"Raise {parameter}.decay_days (its default is 60), or set it to null: then all counts alike.",
            )
        return {"items": items, "offsets": self.offsets, "first": first, "end": end, "weights": weights}


# Settings that say what is told, and not how it is learnt: a guest is handed what follows from them.
WHAT_IS_TOLD: Final = frozenset({"decay_days", "horizon", "visit_gap_hours"})


def spread(vectors: FloatArray, learnt: ItemIdxArray, n_items: int) -> FloatArray:
    """(n_items, dim) the vectors of the learnt items at their places among all; the others are zero."""
    every = np.zeros((n_items, vectors.shape[1]), np.float32)
    every[learnt] = vectors
    return every


def taste_vectors(
    queries: QueryBatch, item_vectors: FloatArray, length: int, vector_of: Callable[[ItemIdxArray], FloatArray]
) -> QueryVectors:
    """Queries as vectors among those of the items, whose last number is what speaks for an item whatever the taste.

    vector_of: the latest items of a taste that have a vector, at most `length`, oldest first -> (dim - 1,).
    """
    items = known_taste(queries.taste_items, item_vectors, length)
    is_known = items.lengths > 0
    vectors = np.full((len(queries), item_vectors.shape[1]), np.nan, np.float32)
    # A pass of its own for each query: one over all of them would add up in an order that hangs on the others.
    for row in np.flatnonzero(is_known).tolist():
        vectors[row, :-1] = vector_of(items[row])
        vectors[row, -1] = 1
    return QueryVectors(queries, vectors, is_known)


def known_taste(queries_taste: RaggedItems, item_vectors: FloatArray, length: int) -> RaggedItems:
    """The latest items of tastes that have a vector, at most `length` of each."""
    items = queries_taste.where(queries_taste.item_idx < len(item_vectors))
    return items.where(np.asarray(item_vectors[items.item_idx].any(axis=1))).latest(length)
