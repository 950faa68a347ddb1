"""The ranker's input, made by one function in training and in serving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from contracts.errors import ShapeMismatch
from contracts.features import FeatureRows, FeatureSchema
from contracts.ids import FloatArray
from recommender.candidates import CandidateSet
from recommender.catalogue import Catalogue
from recommender.query import RetrievalQuery
from recommender.taste import category_profile, mean_release_year

SECONDS_PER_DAY = 86_400
SECONDS_PER_YEAR = 365.25 * SECONDS_PER_DAY
LATEST = 30  # events that stand for what somebody likes now, against all they ever liked

PAIR_FEATURES = (
    "query_history_count",
    "query_days_since_event",
    "pair_category_affinity_all",
    "pair_category_affinity_latest",
    "pair_category_lift_all",
    "pair_category_lift_latest",
    "pair_release_age_years",
    "pair_release_year_gap_all",
    "pair_release_year_gap_latest",
    "pair_rank_best",
)


class Schemas(Protocol):
    """The feature schemas a release was trained with."""

    @property
    def user(self) -> FeatureSchema: ...

    @property
    def item(self) -> FeatureSchema: ...

    @property
    def fingerprint(self) -> str: ...


@dataclass(frozen=True)
class RankingMatrix:
    """values: (n_candidates, n_features) float32, columns as `names`; NaN where something is unknown."""

    names: tuple[str, ...]
    values: FloatArray


def feature_names(schemas: Schemas, generator_names: Sequence[str]) -> tuple[str, ...]:
    """The columns of `assemble`, in order, for these schemas and generators."""
    return (
        *schemas.user.names,
        *schemas.item.names,
        *PAIR_FEATURES,
        *(f"score_{name}" for name in generator_names),
        *(f"rank_{name}" for name in generator_names),
    )


def assemble(
    catalogue: Catalogue,
    query: RetrievalQuery,
    candidates: CandidateSet,
    user_row: FeatureRows,
    item_rows: FeatureRows,
    schemas: Schemas,
) -> RankingMatrix:
    """One row per candidate: the person's features, the item's, those of the pair, and what the generators said.

    user_row: (1, n_user_features); item_rows: (n_candidates, n_item_features), aligned with the candidates.
    Raises ShapeMismatch when rows or columns disagree with the schemas or the candidates.
    """
    n_candidates = len(candidates)
    _check_shape("user_row", user_row.values, (1, len(schemas.user.names)))
    _check_shape("item_rows", item_rows.values, (n_candidates, len(schemas.item.names)))
    parts = [
        np.repeat(user_row.values, n_candidates, axis=0),
        item_rows.values,
        _pair_features(catalogue, query, candidates),
        candidates.scores,
        candidates.ranks,
    ]
    return RankingMatrix(feature_names(schemas, candidates.names), np.concatenate(parts, axis=1, dtype=np.float32))


def _pair_features(catalogue: Catalogue, query: RetrievalQuery, candidates: CandidateSet) -> FloatArray:
    unit_categories = catalogue.unit_categories[candidates.item_idx]
    years = catalogue.release_year[candidates.item_idx]
    overall, latest = category_profile(catalogue, query), category_profile(catalogue, query, LATEST)
    items = query.taste_items()
    columns = {
        "query_history_count": len(items),
        "query_days_since_event": _days_since_event(query),
        "pair_category_affinity_all": overall.affinity(unit_categories),
        "pair_category_affinity_latest": latest.affinity(unit_categories),
        "pair_category_lift_all": overall.lift(unit_categories),
        "pair_category_lift_latest": latest.lift(unit_categories),
        "pair_release_age_years": 1970 + query.now / SECONDS_PER_YEAR - years,
        "pair_release_year_gap_all": years - mean_release_year(catalogue, items),
        "pair_release_year_gap_latest": years - mean_release_year(catalogue, items[-LATEST:]),
        "pair_rank_best": np.where(candidates.proposed, candidates.ranks, np.inf).min(axis=1, initial=np.inf),
    }
    values = np.empty((len(candidates), len(PAIR_FEATURES)), np.float32)
    for column, name in enumerate(PAIR_FEATURES):
        values[:, column] = columns[name]
    return values


def _days_since_event(query: RetrievalQuery) -> float:
    if not len(query.history):
        return float("nan")
    return (query.now - int(query.history.event_ts[-1])) / SECONDS_PER_DAY


def _check_shape(what: str, values: FloatArray, expected: tuple[int, int]) -> None:
    if values.shape != expected:
        raise ShapeMismatch(
            f"{what} has shape {values.shape}; the schemas and candidates ask for {expected}.",
            "Read the features with the schemas of the release that ranks them.",
        )
