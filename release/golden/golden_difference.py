"""How alike two releases answer: the golden queries of one, put to both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl

from contracts.errors import ArtefactError, SlateworkError, UnknownId, WrongInput
from contracts.features import Entity, FeatureSchema
from contracts.slates import Slate
from feature_store.readers.offline_reader import OfflineFeatureReader
from feature_store.values.histories import histories_of_items
from feature_store.values.values import FeatureValues
from recommender.slates.slate_similarity import overlap, rank_biased_overlap
from release.bundle.bundle import Release
from release.bundle.manifest import REBUILD, VALUES_FOLDER
from release.bundle.parts import GOLDEN
from release.golden.golden_queries import answer_golden_requests, load_queries
from release.golden.golden_requests import GoldenRequest

OVERLAP_AT: Final = 10


@dataclass(frozen=True)
class QueryDifference:
    """One query. overlap: of the first ten items; both measures as `recommender.slates.slate_similarity` has them.

    tiers: (of A, of B); unanswered: why A has no slate, empty where it has one.
    """

    request_id: str
    identical: bool
    overlap: float
    rank_biased_overlap: float
    tiers: tuple[str, str]
    unanswered: str = ""


@dataclass(frozen=True)
class GoldenDifference:
    """All queries, and their means. defaulted: features of A that B has no values for; A answers with its defaults."""

    queries: tuple[QueryDifference, ...]
    defaulted: Mapping[str, tuple[str, ...]]

    @property
    def n_identical(self) -> int:
        return sum(query.identical for query in self.queries)

    @property
    def overlap(self) -> float:
        return float(np.mean([query.overlap for query in self.queries])) if self.queries else 1.0

    @property
    def rank_biased_overlap(self) -> float:
        return float(np.mean([query.rank_biased_overlap for query in self.queries])) if self.queries else 1.0


def compare_golden(a: Release, b: Release) -> GoldenDifference:
    """Put the golden queries of B to both releases, at B's time and from the values in B's bundle.

    What A does not know of them it does without: items it has not heard of, and features that B has no values for.
    """
    if b.folder is None:
        raise ArtefactError(f"Release {b.release_id} is no bundle: it has no golden queries.", REBUILD)
    now, queries = load_queries(b.folder / GOLDEN)
    values = FeatureValues.load(b.folder / VALUES_FOLDER)
    readers = [_reader_of(release, values) for release in (a, b)]
    differences = []
    their_slates = answer_golden_requests(b, readers[1], now, [golden for golden, _ in queries])
    for (golden, _), theirs in zip(queries, their_slates, strict=True):
        try:
            (ours,) = answer_golden_requests(a, readers[0], now, [golden])
        except (UnknownId, WrongInput) as error:
            differences.append(_unanswered_query(golden, theirs, error))
        else:
            differences.append(_query_difference(ours, theirs))
    defaulted = {str(entity): _missing_features(a.schemas.of(entity), values) for entity in Entity}
    return GoldenDifference(tuple(differences), {entity: names for entity, names in defaulted.items() if names})


def _reader_of(release: Release, values: FeatureValues) -> OfflineFeatureReader:
    """Reads values of another release as this one needs them: its features in its order, and items it knows."""
    schemas, item_ids = release.schemas, release.catalogue.ids
    own = replace(
        values,
        users=_with_columns_of(values.users, schemas.user),
        items=_with_columns_of(values.items, schemas.item),
        histories=histories_of_items(values.histories, item_ids),
    )
    return OfflineFeatureReader(own, schemas, item_ids)


def _with_columns_of(table: pl.DataFrame, schema: FeatureSchema) -> pl.DataFrame:
    key, *present = table.columns
    null = pl.lit(None, pl.Float32)
    return table.select(key, *(pl.col(name) if name in present else null.alias(name) for name in schema.names))


def _missing_features(schema: FeatureSchema, values: FeatureValues) -> tuple[str, ...]:
    return tuple(name for name in schema.names if name not in values.rows(schema.entity).columns)


def _query_difference(ours: Slate, theirs: Slate) -> QueryDifference:
    a, b = ([str(item.item_id) for item in slate.items] for slate in (ours, theirs))
    return QueryDifference(
        theirs.request_id,
        identical=a == b,
        overlap=overlap(a[:OVERLAP_AT], b[:OVERLAP_AT]),
        rank_biased_overlap=rank_biased_overlap(a, b),
        tiers=(str(ours.tier), str(theirs.tier)),
    )


def _unanswered_query(golden: GoldenRequest, theirs: Slate, error: SlateworkError) -> QueryDifference:
    return QueryDifference(golden.request.request_id, False, 0.0, 0.0, ("none", str(theirs.tier)), error.problem)
