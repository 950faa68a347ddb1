"""What has come into the catalogue since somebody was last here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from contracts.artefact import Meta, check_built_with, load_array, load_meta, save_artefact
from contracts.calendar import SECONDS_PER_DAY
from contracts.ids import FloatArray, ItemIdxArray
from recommender.catalogue import Catalogue
from recommender.interactions import Interactions
from recommender.proposals import Proposals, best_first
from recommender.query import RetrievalQuery

KIND = "generator-new_arrivals"
MOST_DAYS = 200.0  # beyond this, older is no different


@dataclass(frozen=True)
class NewArrivalsGenerator:
    """What has come into the catalogue since somebody was last here, the newest first.

    first_ts: (n_items,) epoch seconds of each item's first event; the end of the data where there was none yet.

    >>> from contracts.features import History
    >>> generator = NewArrivalsGenerator(np.array([100.0, 900.0, 500.0]), "ids of three items")
    >>> last_visit = History.without_types(np.array([0], np.int32), np.array([400]), np.array([np.nan], np.float32))
    >>> generator.propose(RetrievalQuery(now=1000, history=last_visit), k=2).item_idx.tolist()
    [1, 2]
    """

    first_ts: npt.NDArray[np.float64]
    catalogue_fingerprint: str
    name: str = "new_arrivals"

    @classmethod
    def fit(cls, interactions: Interactions, catalogue: Catalogue, as_of: float) -> NewArrivalsGenerator:
        first_ts = np.full(len(catalogue), as_of)
        np.minimum.at(first_ts, interactions.item_idx, interactions.event_ts)
        return cls(first_ts, catalogue.ids.fingerprint)

    def propose(self, query: RetrievalQuery, k: int) -> Proposals:
        """Only items that came after the last event, the newest first."""
        if not len(query.history):
            return Proposals.none()
        arrived = np.flatnonzero(self.first_ts > query.history.event_ts[-1]).astype(np.int32)
        return best_first(arrived, self.score(query, arrived), k, query.excluded)

    def score(self, query: RetrievalQuery, item_idx: ItemIdxArray) -> FloatArray:
        """Days between the person's last event and the item's first; negative for what was there before."""
        if not len(query.history):
            return np.full(len(item_idx), np.nan, np.float32)
        days = (self.first_ts[item_idx] - query.history.event_ts[-1]) / SECONDS_PER_DAY
        return np.asarray(np.clip(days, -MOST_DAYS, MOST_DAYS), np.float32)

    def save(self, folder: Path) -> Meta:
        built_with = {"catalogue ids": self.catalogue_fingerprint}
        return save_artefact(folder, KIND, built_with=built_with, arrays={"first_ts": self.first_ts})

    @classmethod
    def load(cls, folder: Path, catalogue: Catalogue) -> NewArrivalsGenerator:
        """Read what `save` wrote; raises ReleaseMismatch when it was fitted on other item ids."""
        meta = load_meta(folder, KIND)
        check_built_with(f"generator {folder}", meta.built_with, "catalogue ids", catalogue.ids.fingerprint)
        first_ts = load_array(folder, "first_ts", np.float64, (len(catalogue),))
        return cls(first_ts, catalogue.ids.fingerprint)
