"""Why an item is shown, in sentences for people; every sentence is true of what the generators said."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recommender.candidates import CandidateSet
from recommender.catalogue import Catalogue
from recommender.generators.base import Generator
from recommender.generators.item_to_item import ItemToItemGenerator
from recommender.query import RetrievalQuery
from recommender.taste import category_taste

MOST_REASONS = 3
# A category is liked when it takes this much more of somebody's taste than of the catalogue.
LIKED_LIFT = 1.2


def reasons(
    catalogue: Catalogue, generators: Mapping[str, Generator], query: RetrievalQuery, candidates: CandidateSet, row: int
) -> tuple[str, ...]:
    """At most three sentences that say why the candidate in this row is shown, the most personal first."""
    item_idx = int(candidates.item_idx[row])
    proposed_by = _proposed_by(generators, candidates, row)
    sentences = [
        _because_of_an_item(catalogue, generators, query, item_idx),
        _because_of_a_category(catalogue, query, item_idx),
        "People with your taste liked it" if "als" in proposed_by and query.anchor is None else None,
        _because_it_is_popular(proposed_by, query),
    ]
    return tuple(sentence for sentence in sentences if sentence)[:MOST_REASONS]


def _proposed_by(generators: Mapping[str, Generator], candidates: CandidateSet, row: int) -> set[str]:
    best = candidates.proposed[row]
    return {name for name, proposed in zip(candidates.names, best, strict=True) if proposed and name in generators}


def _because_of_an_item(
    catalogue: Catalogue, generators: Mapping[str, Generator], query: RetrievalQuery, item_idx: int
) -> str | None:
    generator = generators.get("covisitation_max")
    if not isinstance(generator, ItemToItemGenerator):
        return None
    source = generator.because(query, item_idx)
    if source is None:
        return None
    title = catalogue.titles[source]
    if query.anchor is not None:
        return f"More like {title}"
    stated = source in query.preferred_items and source not in query.history.item_idx
    return f"Because you like {title}" if stated else f"Because you chose {title}"


def _because_of_a_category(catalogue: Catalogue, query: RetrievalQuery, item_idx: int) -> str | None:
    """The category of the item that the person wants most beyond its share of the catalogue."""
    if query.anchor is not None or not (query.preferred_categories.any() or len(query.taste_items())):
        return None
    taste = category_taste(catalogue, query)
    lift = np.where(catalogue.categories[item_idx] > 0, taste.share / np.maximum(taste.prior, 1e-6), 0)
    if not len(lift) or lift.max() < LIKED_LIFT:
        return None
    return f"Because you like {catalogue.category_names[int(np.argmax(lift))]}"


def _because_it_is_popular(proposed_by: set[str], query: RetrievalQuery) -> str | None:
    if "popular_segment" in proposed_by:
        return f"Popular among people like you ({', '.join(query.segment[name] for name in sorted(query.segment))})"
    if proposed_by & {"popular_recent", "popular_returning", "popular_newcomers"}:
        return "Popular this month"
    return "An all-time favourite" if "popular" in proposed_by else None
