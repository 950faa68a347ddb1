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
from recommender.ragged import RaggedItems, max_by
from recommender.taste import ItemCategories

LATEST = 30  # events that stand for what somebody likes now, against all they ever liked
SESSION_GAP_S = 30 * 60  # as web analytics count sessions


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
    def is_of_session(self) -> npt.NDArray[np.bool_]:
        """(n_events,) True for those events of the histories that come after the last long pause."""
        histories = self.queries.histories
        next_ts = np.append(histories.event_ts[1:], 0)
        some = histories.lengths > 0
        next_ts[histories.offsets[1:][some] - 1] = self.queries.now[some]  # the last event is followed by the request
        long = next_ts - histories.event_ts > SESSION_GAP_S
        last_long = max_by(histories.rows[long], np.flatnonzero(long).astype(np.float64), len(self.queries))
        return np.asarray(np.arange(len(histories.event_ts)) > last_long[histories.rows])

    @cached_property
    def session_items(self) -> RaggedItems:
        """The items of those events that the catalogue has, in their order."""
        histories, chosen = self.queries.histories, self.is_of_session
        items = RaggedItems.of_rows(histories.rows[chosen], histories.item_idx[chosen], len(self.queries))
        return self.catalogue.known_of(items)

    @cached_property
    def session_categories(self) -> npt.NDArray[np.float64]:
        """(n_queries, n_categories) the sum of the unit vectors of the session's items."""
        touched = ItemCategories.of(self.catalogue, self.session_items)
        return touched.by_category(len(self.catalogue.category_names))

    @cached_property
    def candidate_categories(self) -> ItemCategories:
        """The categories of the candidates."""
        return ItemCategories.of(self.catalogue, self.candidates.items)

    def user_values(self, name: str) -> npt.NDArray[np.float64]:
        """(n_queries,) a published feature; NaN where the release does not know the person or the feature."""
        column = self.user_schema.columns.get(name)
        if column is None:
            return np.full(len(self.queries), np.nan)
        values = self.user_rows.values[:, column].astype(np.float64)
        return np.where(self.user_rows.known, values, np.nan)
