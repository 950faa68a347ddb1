"""The inputs of the on-demand features: all that such a feature may look at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from contracts.features import FeatureRows, FeatureSchema
from recommender.candidates import CandidateSet
from recommender.catalogue import Catalogue
from recommender.query import QueryBatch
from recommender.ragged import RaggedItems
from recommender.taste import ItemCategories

LATEST = 30  # events that stand for what somebody likes now, against all they ever liked


@dataclass(frozen=True)
class OnDemandInputs:
    """The candidates of several requests, who asks for them, and what is known of those people.

    user_rows: (n_queries, n_user_features) as `user_schema` has them, defaults filled in.
    """

    catalogue: Catalogue
    queries: QueryBatch
    candidates: CandidateSet
    user_rows: FeatureRows
    user_schema: FeatureSchema

    @cached_property
    def taste_items(self) -> RaggedItems:
        """The distinct items that tell what each wants now, of the catalogue, oldest first (see `QueryBatch`)."""
        return self.catalogue.known_of(self.queries.taste_items)

    @cached_property
    def latest_items(self) -> RaggedItems:
        """The last LATEST of them."""
        return self.taste_items.latest(LATEST)

    @cached_property
    def candidate_categories(self) -> ItemCategories:
        """The categories of the candidates."""
        return ItemCategories.of(self.catalogue, self.candidates.items)

    def user_values(self, name: str) -> npt.NDArray[np.float64]:
        """(n_queries,) a published feature; NaN where the release does not know the person or the feature."""
        if name not in self.user_schema.names:
            return np.full(len(self.queries), np.nan)
        values = self.user_rows.values[:, self.user_schema.names.index(name)].astype(np.float64)
        return np.where(self.user_rows.known, values, np.nan)
