"""What sentences about shown items may stand on: what generators said, the ranker's input, the history at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from contracts.calendar import SECONDS_PER_DAY
from contracts.events import EVENT_TYPE_OF, EventType
from contracts.id_map import UNKNOWN
from contracts.ids import FloatArray
from recommender.candidates import CandidateSet
from recommender.catalogue import Catalogue
from recommender.generators.base import Generator
from recommender.generators.item_to_item import ItemToItemGenerator
from recommender.query import QueryBatch
from recommender.ragged import RaggedItems
from recommender.taste import ItemCategories, category_taste

_VERBS = {
    EventType.VIEW: "viewed",
    EventType.CLICK: "opened",
    EventType.PURCHASE: "bought",
    EventType.RATING: "rated",
    EventType.LIKE: "liked",
    EventType.SAVE: "saved",
}
CHOSE = "chose"  # where events are of several types, or of none that is known


class SpeakingItem(NamedTuple):
    """An item that speaks for another. is_stated: the request says that it is liked, and nothing was done with it."""

    title: str
    is_stated: bool


@dataclass(frozen=True)
class RankedInput:
    """What the ranker was handed of the items explained: (n, n_features), columns as `names`.

    absent: (n_features,) what stands where a value is not known. written: (n,) epoch seconds of the items' rows.
    """

    names: tuple[str, ...]
    values: FloatArray
    absent: FloatArray
    written: npt.NDArray[np.int64]


class ReasonFacts:
    """The facts about the candidates that are shown; `at` is a place among them.

    shown: the rows of the candidates; those of one query stand together, the queries in their order.
    ranked: None where no ranker scored.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        generators: Mapping[str, Generator],
        queries: QueryBatch,
        candidates: CandidateSet,
        shown: npt.NDArray[np.intp],
        ranked: RankedInput | None,
    ) -> None:
        self._catalogue = catalogue
        self._generators = generators
        self._queries = queries
        self._names = candidates.names
        self._proposed = candidates.proposed[shown]
        self._rows = candidates.rows[shown]
        self._item_idx = candidates.item_idx[shown]
        self._ranked = ranked
        self._columns = {} if ranked is None else {name: column for column, name in enumerate(ranked.names)}
        # Many items of a slate share a category, and all of them a history.
        self._speaking = cache(self._speaking_items)
        self._chosen = cache(self._chosen_of_category)

    def __len__(self) -> int:
        return len(self._item_idx)

    @property
    def is_ranked(self) -> bool:
        return self._ranked is not None

    def value(self, name: str, at: int) -> float:
        """A feature of the ranker; NaN where it has none of this name, and where its value is not known."""
        ranked, column = self._ranked, self._columns.get(name)
        if ranked is None or column is None:
            return float("nan")
        value = ranked.values[at, column]
        return float("nan") if value == ranked.absent[column] else float(value)

    def row_age_days(self, at: int) -> float:
        """How long ago the item's published row was true; NaN where it is not known."""
        ranked = self._ranked
        if ranked is None or not ranked.written[at]:
            return float("nan")
        return max(float(self._queries.now[self._rows[at]] - ranked.written[at]), 0.0) / SECONDS_PER_DAY

    def proposed_by(self, at: int) -> set[str]:
        """The generators that proposed the item."""
        return self._proposers[at]

    def is_beside_an_item(self, at: int) -> bool:
        """Whether the slate stands on an item's page."""
        return bool(self._queries.anchors[self._rows[at]] != UNKNOWN)

    def segment(self, at: int) -> str:
        """What is told of the circumstances, in words."""
        told = self._queries.segments[self._rows[at]]
        return ", ".join(told[name] for name in sorted(told))

    def speaking_title(self, generator: str, at: int) -> SpeakingItem | None:
        """The item that speaks most for this one, of those that tell what is wanted, where one does."""
        return self._speaking(generator)[at]

    def last_title(self, at: int) -> str | None:
        """The title of what was chosen last, of what the catalogue has."""
        return self._last_titles[int(self._rows[at])]

    def liked_category(self, at: int, least_lift: float) -> int | None:
        """The item's category that the person wants most beyond its share of the catalogue, if so much more."""
        category = int(self._best_categories[at])
        if category < 0 or not self._has_taste[self._rows[at]]:
            return None
        lifts = self._lifts
        return category if not lifts.size or lifts[self._rows[at], category] >= least_lift else None

    def category_name(self, category: int) -> str:
        return self._catalogue.category_names[category]

    def chosen_of_category(self, at: int, category: int, days: float) -> tuple[int, str]:
        """How many different items of this category were chosen within so many days, and what was done with them."""
        return self._chosen(int(self._rows[at]), category, days)

    def _chosen_of_category(self, row: int, category: int, days: float) -> tuple[int, str]:
        histories = self._queries.histories
        own = slice(int(histories.offsets[row]), int(histories.offsets[row + 1]))
        lately = histories.event_ts[own] >= self._queries.now[row] - days * SECONDS_PER_DAY
        item_idx, codes = histories.item_idx[own][lately], histories.event_types[own][lately]
        is_of_it = np.array([self._is_of(item, category) for item in item_idx.tolist()], bool)
        done = {EVENT_TYPE_OF.get(code) for code in codes[is_of_it].tolist()}
        verb = _VERBS.get(done.pop(), CHOSE) if len(done) == 1 else CHOSE  # type: ignore[arg-type]
        return len(set(item_idx[is_of_it].tolist())), verb

    def _is_of(self, item: int, category: int) -> bool:
        catalogue = self._catalogue
        if not 0 <= item < len(catalogue):
            return False
        own = catalogue.category_idx[catalogue.category_offsets[item] : catalogue.category_offsets[item + 1]]
        return category in own

    def _speaking_items(self, name: str) -> list[SpeakingItem | None]:
        """For each item shown the one of the taste that speaks most for it, if any does."""
        generator = self._generators.get(name)
        if not isinstance(generator, ItemToItemGenerator):
            return [None] * len(self)
        sources = generator.encode(self._queries).because(self._items)
        titles = self._catalogue.titles.at(np.where(sources == UNKNOWN, 0, sources))  # of any item where none speaks
        return [
            None if source == UNKNOWN else SpeakingItem(title, self._is_stated(source, row))
            for source, title, row in zip(sources.tolist(), titles, self._rows.tolist(), strict=True)
        ]

    def _is_stated(self, item: int, row: int) -> bool:
        stated = self._queries.preferred_items[row]
        return len(stated) > 0 and item in stated and item not in self._queries.histories.items[row]

    @cached_property
    def _proposers(self) -> list[set[str]]:
        return [
            {name for name, proposed in zip(self._names, of_one, strict=True) if proposed}
            for of_one in self._proposed.tolist()
        ]

    @cached_property
    def _items(self) -> RaggedItems:
        return RaggedItems.of_rows(self._rows, self._item_idx, len(self._queries))

    @cached_property
    def _last_titles(self) -> list[str | None]:
        """For each query the title of what was chosen last, of what the catalogue has."""
        last = self._catalogue.known_of(self._queries.taste_items).latest(1)
        titles = dict(zip(last.rows.tolist(), self._catalogue.titles.at(last.item_idx), strict=True))
        return [titles.get(row) for row in range(len(self._queries))]

    @cached_property
    def _lifts(self) -> npt.NDArray[np.float64]:
        """(n_queries, n_categories) how much more each category is wanted than it is common."""
        catalogue, queries = self._catalogue, self._queries
        return category_taste(catalogue, queries, catalogue.known_of(queries.taste_items)).lift_by_category

    @cached_property
    def _best_categories(self) -> npt.NDArray[np.int32]:
        return ItemCategories.of(self._catalogue, self._items).most_wanted(self._lifts)

    @cached_property
    def _has_taste(self) -> npt.NDArray[np.bool_]:
        """(n_queries,) whether something is known of what each wants, other than the item looked at."""
        queries = self._queries
        has_some = queries.preferred_categories.any(axis=1) | (queries.taste_items.lengths > 0)
        return np.asarray(has_some & (queries.anchors == UNKNOWN))
