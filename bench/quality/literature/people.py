"""People of published data sets, and what a generator proposes to them or thinks of a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final

import numpy as np

from contracts.batches import batches_of
from contracts.settings.candidates import CandidateSettings
from contracts.tables import CanonicalTables
from recommender.catalogue import Catalogue
from recommender.generators.base import Generator
from recommender.generators.sets import fit_generators, fit_one
from recommender.interactions import Interactions
from recommender.query import QueryBatch, RetrievalQuery
from recommender.ragged import RaggedItems

BLOCK: Final = 1024


@dataclass(frozen=True)
class People:
    """Generators are fitted on what lies before learnt_until; histories end before asked_at."""

    tables: CanonicalTables
    learnt_until: datetime
    asked_at: datetime

    @classmethod
    def at_the_end_of(cls, tables: CanonicalTables) -> People:
        """Of all events of the tables, as training and as histories."""
        end = tables.interactions["event_ts"].max() + timedelta(seconds=1)
        return cls(tables, end, end)

    @cached_property
    def catalogue(self) -> Catalogue:
        return Catalogue.from_items(self.tables.items)

    def every_generator(self, settings: CandidateSettings, seed: int) -> dict[str, Generator]:
        """By name."""
        return fit_generators(self.tables, self.catalogue, self.learnt_until, settings, seed)

    def generator(self, name: str, settings: CandidateSettings, seed: int) -> Generator:
        """One of them."""
        return fit_one(name, self.tables, self.catalogue, self.learnt_until, settings, seed)

    def proposals(self, generator: Generator, users: Sequence[str], k: int) -> RaggedItems:
        """The best k of each, seen ones left out."""
        found = (generator.encode(batch).propose(k) for batch in self._batches(users))
        return RaggedItems.of(one.of_query(number)[0] for one in found for number in range(len(one)))

    def scores(self, generator: Generator, users: Sequence[str], lists: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Of each list, the generator's scores; minus infinity where it has no opinion."""
        scored: list[np.ndarray] = []
        for batch, some in zip(self._batches(users), batches_of(lists, BLOCK), strict=True):
            items = RaggedItems.of(some)
            scores = np.nan_to_num(generator.encode(batch).score(items), nan=-np.inf)
            scored += np.split(scores, items.offsets[1:-1])
        return scored

    def _batches(self, users: Sequence[str]) -> list[QueryBatch]:
        return [QueryBatch.of([self._query(user) for user in some]) for some in batches_of(users, BLOCK)]

    def _query(self, user: str) -> RetrievalQuery:
        now = int(self.asked_at.timestamp())
        if user not in self._user_idx:
            return RetrievalQuery(now)
        history = self._interactions.history(self._user_idx[user], 0, now)
        return RetrievalQuery(now, history, excluded=np.unique(history.item_idx))

    @cached_property
    def _interactions(self) -> Interactions:
        return Interactions.of(self.tables.interactions, self.catalogue.ids)

    @cached_property
    def _user_idx(self) -> dict[str, int]:
        return {user: number for number, user in enumerate(self._interactions.user_ids)}
