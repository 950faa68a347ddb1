"""The inputs of the on-demand features: all that such a feature may look at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from contracts.features import FeatureRows, FeatureSchema
from contracts.ids import ItemIdxArray
from recommender.candidates import CandidateSet
from recommender.catalogue import Catalogue
from recommender.query import RetrievalQuery

OWNER = "recommendations"
LATEST = 30  # events that stand for what somebody likes now, against all they ever liked


@dataclass(frozen=True)
class OnDemandInputs:
    """One request's candidates, who asks for them, and what is known of that person.

    user_row: (1, n_user_features) as `user_schema` has them, defaults filled in.
    """

    catalogue: Catalogue
    query: RetrievalQuery
    candidates: CandidateSet
    user_row: FeatureRows
    user_schema: FeatureSchema

    @cached_property
    def taste_items(self) -> ItemIdxArray:
        """The distinct items that tell what is wanted now, of the catalogue, oldest first (see `RetrievalQuery`)."""
        return self.catalogue.known(self.query.taste_items())

    @property
    def latest_items(self) -> ItemIdxArray:
        """The last LATEST of them."""
        return self.taste_items[-LATEST:]

    def user_value(self, name: str) -> float:
        """A published feature of the person; NaN where the release does not know the person or the feature."""
        names = self.user_schema.names
        known = name in names and bool(self.user_row.known[0])
        return float(self.user_row.values[0, names.index(name)]) if known else float("nan")
