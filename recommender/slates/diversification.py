"""A slate chosen by relevance and by what else is in it, within a budget: `request.diversity` for one request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from contracts.ids import FloatArray, ItemIdxArray
from contracts.settings.diversity import DiversitySettings
from recommender.catalogue import Catalogue
from recommender.ragged import spans
from recommender.slates.greedy_choice import by_calibration, by_determinant, by_marginal_relevance, likeness_of
from recommender.slates.relevance import Choice, Places, Relevance, scaled_relevance, within_loss
from recommender.slates.strength import adapted_strength, doubt, narrowness

# The best candidates compete for the slate: one behind them would cost more relevance than any budget has.
N_COMPETING: Final = 200
# Of a history, the latest events say how narrow it is now.
N_LATEST: Final = 50


@dataclass(frozen=True)
class Diversification:
    """The rule by which slates are diversified."""

    catalogue: Catalogue
    settings: DiversitySettings

    def choose(self, item_idx: ItemIdxArray, scores: FloatArray, history: ItemIdxArray, k: int) -> Choice:
        """At most k of the candidates, as places among them.

        item_idx, scores: (n_candidates,) best first; history: the person's items, oldest first, -1 for unknown ones.
        Their own order where there is nothing to diversify by, or a score is no finite number: what a loss is of it
        nobody can say.
        """
        n_competing = max(N_COMPETING, 2 * k)
        item_idx, relevance = item_idx[:n_competing], scaled_relevance(scores[:n_competing])
        known, settings = self.catalogue.known(history), self.settings
        chooser = self._chooser(item_idx, relevance, known, k)
        if chooser is None or not np.isfinite(relevance).all():
            return Choice(np.arange(min(k, len(item_idx))), 0.0, 0.0)
        strength = self._strength(item_idx, relevance, known, k)
        return within_loss(chooser, relevance, k, strength, settings.max_relevance_loss)

    def _strength(self, item_idx: ItemIdxArray, relevance: Relevance, history: ItemIdxArray, k: int) -> float:
        settings = self.settings
        if not settings.adaptive:
            return settings.strength
        latest, own = self._vectors_of(history[-N_LATEST:]), self._vectors_of(item_idx[:k])
        signs = [narrowness(latest), narrowness(own), doubt(relevance, k)]
        return adapted_strength(settings.strength, settings.adaptive, signs)

    def _chooser(
        self, item_idx: ItemIdxArray, relevance: Relevance, history: ItemIdxArray, k: int
    ) -> Callable[[float], Places] | None:
        """The slate of each strength; None where there is nothing to diversify by."""
        if self.settings.method == "calibration":
            wanted = self._category_shares(history)
            return None if wanted is None else self._calibrated(item_idx, relevance, wanted, k)
        by = by_determinant if self.settings.method == "dpp" else by_marginal_relevance
        return partial(by, likeness_of(self._vectors_of(item_idx)), relevance, k)

    def _calibrated(
        self, item_idx: ItemIdxArray, relevance: Relevance, wanted: npt.NDArray[np.float64], k: int
    ) -> Callable[[float], Places]:
        offsets, category_idx = self.catalogue.category_offsets, self.catalogue.category_idx
        return partial(by_calibration, offsets, category_idx, item_idx, wanted, relevance, k)

    def _vectors_of(self, item_idx: ItemIdxArray) -> FloatArray:
        """(n, dim) of unit length, or shorter for an item that lacks a part; columns of zeros are left out."""
        over = self.settings.over
        if over == "content":
            return self.catalogue.content[item_idx]
        categories = self.catalogue.unit_categories_of(item_idx)
        categories = categories[:, categories.any(axis=0)]
        if over == "categories":
            return categories
        # The cosine of both is the mean of the two.
        return np.hstack([categories, self.catalogue.content[item_idx]]) / np.float32(np.sqrt(2))

    def _category_shares(self, items: ItemIdxArray) -> npt.NDArray[np.float64] | None:
        """(n_categories,) how items are divided among categories, of sum 1; None where they have none."""
        offsets, category_idx = self.catalogue.category_offsets, self.catalogue.category_idx
        starts = offsets[items]
        lengths = offsets[items.astype(np.int64) + 1] - starts
        weights = (1 / np.maximum(lengths, 1)).repeat(lengths)
        shares = np.bincount(category_idx[spans(starts, lengths)], weights, len(self.catalogue.category_names))
        total = shares.sum()
        return shares / total if total else None
