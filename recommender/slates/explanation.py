"""Why items are shown, in sentences for people; every sentence is true of what the generators said."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from contracts.id_map import UNKNOWN
from contracts.ids import ItemIdxArray
from recommender.candidates import CandidateSet
from recommender.catalogue import Catalogue
from recommender.generators.base import Generator
from recommender.generators.item_to_item import ItemToItemGenerator
from recommender.query import QueryBatch
from recommender.ragged import RaggedItems
from recommender.taste import ItemCategories, category_taste

MOST_REASONS = 3
# A category is liked when it takes this much more of somebody's taste than of the catalogue.
LIKED_LIFT = 1.2


def reasons(
    catalogue: Catalogue,
    generators: Mapping[str, Generator],
    queries: QueryBatch,
    candidates: CandidateSet,
    shown: npt.NDArray[np.intp],
) -> list[tuple[str, ...]]:
    """For each candidate shown, at most three sentences that say why, the most personal first.

    shown: the rows of the candidates that are explained; those of one query stand together, the queries in their order.
    """
    rows = candidates.rows[shown]
    items = RaggedItems.of_rows(rows, candidates.item_idx[shown], len(queries))
    speaking = _speaking_items(generators, queries, items)
    titles = catalogue.titles.at(np.where(speaking == UNKNOWN, 0, speaking))  # of any item where none speaks
    liked = _liked_categories(catalogue, queries, items)
    sentences = []
    for at, (query, row) in enumerate(zip(rows.tolist(), shown.tolist(), strict=True)):
        proposed_by = _proposed_by(candidates, row)
        beside_an_item = queries.anchors[query] != UNKNOWN
        of_one = (
            _because_of_an_item(queries, query, int(speaking[at]), titles[at]),
            None if liked[at] is None else f"Because you like {liked[at]}",
            "People with your taste liked it" if "als" in proposed_by and not beside_an_item else None,
            _because_it_is_popular(proposed_by, queries.segments[query]),
        )
        sentences.append(tuple(sentence for sentence in of_one if sentence)[:MOST_REASONS])
    return sentences


def _proposed_by(candidates: CandidateSet, row: int) -> set[str]:
    return {name for name, proposed in zip(candidates.names, candidates.proposed[row], strict=True) if proposed}


def _speaking_items(generators: Mapping[str, Generator], queries: QueryBatch, items: RaggedItems) -> ItemIdxArray:
    """(n_shown,) the item of each taste that speaks most for the item shown, UNKNOWN (-1) where none does."""
    generator = generators.get("covisitation_max")
    if not isinstance(generator, ItemToItemGenerator):
        return np.full(len(items.item_idx), UNKNOWN, np.int32)
    return generator.encode(queries).because(items)


def _because_of_an_item(queries: QueryBatch, query: int, source: int, title: str) -> str | None:
    if source == UNKNOWN:
        return None
    if queries.anchors[query] != UNKNOWN:
        return f"More like {title}"
    stated = source in queries.preferred_items[query] and source not in queries.histories.items[query]
    return f"Because you like {title}" if stated else f"Because you chose {title}"


def _liked_categories(catalogue: Catalogue, queries: QueryBatch, items: RaggedItems) -> list[str | None]:
    """For each item shown, its category that the person wants most beyond its share of the catalogue, if they do."""
    lifts = category_taste(catalogue, queries, catalogue.known_of(queries.taste_items)).lift_by_category
    categories = ItemCategories.of(catalogue, items)
    best = categories.most_wanted(lifts)
    has_taste = queries.preferred_categories.any(axis=1) | (queries.taste_items.lengths > 0)
    is_taste = has_taste & (queries.anchors == UNKNOWN)
    is_liked = (best >= 0) & is_taste[items.rows]
    if lifts.size:
        is_liked &= lifts[items.rows, best] >= LIKED_LIFT
    return [
        catalogue.category_names[category] if liked else None
        for category, liked in zip(best.tolist(), is_liked.tolist(), strict=True)
    ]


def _because_it_is_popular(proposed_by: set[str], segment: Mapping[str, str]) -> str | None:
    if "popular_segment" in proposed_by:
        return f"Popular among people like you ({', '.join(segment[name] for name in sorted(segment))})"
    if proposed_by & {"popular_recent", "popular_returning", "popular_newcomers"}:
        return "Popular this month"
    return "An all-time favourite" if "popular" in proposed_by else None
