"""What has come into the catalogue since somebody was last here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from contracts.artefact import Meta, check_built_with, load_array, load_meta, save_artefact
from contracts.calendar import SECONDS_PER_DAY
from contracts.ids import FloatArray, ItemIdxArray
from recommender.allowed_items import AllowedItems
from recommender.catalogue import Catalogue
from recommender.generators.base import EncodedQueries
from recommender.interactions import Interactions
from recommender.proposals import Proposals, best_first
from recommender.query import QueryBatch
from recommender.ragged import RaggedItems, offsets_of, places_of

KIND = "generator-new_arrivals"
MOST_DAYS = 200.0  # beyond this, older is no different
# Only the newest compete: more than anybody is shown, and no request walks the catalogue.
HEAD = 2000


@dataclass(frozen=True)
class NewArrivalsGenerator:
    """What has come into the catalogue since somebody was last here, the newest first.

    first_ts: (n_items,) epoch seconds of each item's first event; the end of the data where there was none yet.

    >>> from contracts.features import History
    >>> from recommender.query import RetrievalQuery
    >>> generator = NewArrivalsGenerator(np.array([100.0, 900.0, 500.0]), "ids of three items")
    >>> last_visit = History.without_types(np.array([0], np.int32), np.array([400]), np.array([np.nan], np.float32))
    >>> queries = QueryBatch.of([RetrievalQuery(now=1000, history=last_visit)])
    >>> generator.encode(queries).propose(k=2).item_idx.tolist()
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

    @cached_property
    def _by_newness(self) -> ItemIdxArray:
        """All items, the newest first."""
        return np.lexsort((np.arange(len(self.first_ts)), -self.first_ts)).astype(np.int32)

    def newest(self, allowed: AllowedItems | None) -> ItemIdxArray:
        """The items that compete, the newest first."""
        if allowed is None:
            return self._by_newness[:HEAD]
        return allowed.kept(self.name, lambda: allowed.first_of(self._by_newness, HEAD))

    def encode(self, queries: QueryBatch) -> EncodedQueries:
        return _EncodedVisits(queries, self.first_ts, self.newest(queries.allowed))

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


@dataclass(frozen=True)
class _EncodedVisits:
    """Queries by their last event; first_ts: (n_items,); newest: the items that may be proposed, the newest first."""

    queries: QueryBatch
    first_ts: npt.NDArray[np.float64]
    newest: ItemIdxArray

    def propose(self, k: int) -> Proposals:
        """Only items that came after the last event, the newest first."""
        last_ts = self.queries.histories.last_ts
        n_arrived = np.searchsorted(-self.first_ts[self.newest], -last_ts)
        offsets = offsets_of(np.where(np.isnan(last_ts), 0, n_arrived))
        arrived = RaggedItems(offsets, self.newest[places_of(offsets)])
        return best_first(
            arrived.rows, arrived.item_idx, self.score(arrived), len(arrived), k, self.queries.excluded.keys
        )

    def score(self, items: RaggedItems) -> FloatArray:
        """Days between the person's last event and the item's first; negative for what was there before."""
        days = (self.first_ts[items.item_idx] - self.queries.histories.last_ts[items.rows]) / SECONDS_PER_DAY
        return np.asarray(np.clip(days, -MOST_DAYS, MOST_DAYS), np.float32)
