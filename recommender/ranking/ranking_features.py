"""The ranker's input, made by one function in training and in serving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from contracts.errors import ShapeMismatch
from contracts.features import FeatureRows, FeatureSchema
from contracts.ids import FloatArray
from recommender import on_demand
from recommender.candidates import CandidateSet
from recommender.catalogue import Catalogue
from recommender.on_demand.inputs import OnDemandInputs
from recommender.on_demand.retrieval import RANK_BEST
from recommender.query import QueryBatch

SCORE_OF, RANK_OF = "score_", "rank_"  # of a generator, before its name


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


def feature_names(
    schemas: Schemas, generator_names: Sequence[str], computed: Sequence[str] = on_demand.NAMES
) -> tuple[str, ...]:
    """The columns of `assemble`, in order, for these schemas, generators and on-demand features."""
    return (
        *schemas.user.names,
        *schemas.item.names,
        *computed,
        *(f"{SCORE_OF}{name}" for name in generator_names),
        *(f"{RANK_OF}{name}" for name in generator_names),
    )


def monotone_directions(names: Sequence[str]) -> tuple[int, ...]:
    """For each column which way a candidate's score may go as it grows: 1 up alone, -1 down alone, 0 either way.

    What a generator scores higher, or has at a better (lower) rank, is never the worse for it.

    >>> monotone_directions(("user_age", "score_als", "rank_als", "pair_rank_best"))
    (0, 1, -1, -1)
    """
    return tuple(
        1 if name.startswith(SCORE_OF) else -1 if name == RANK_BEST or name.startswith(RANK_OF) else 0 for name in names
    )


def assemble(
    catalogue: Catalogue,
    queries: QueryBatch,
    candidates: CandidateSet,
    user_rows: FeatureRows,
    item_rows: FeatureRows,
    schemas: Schemas,
    computed: tuple[str, ...] = on_demand.NAMES,
) -> RankingMatrix:
    """One row per candidate: the person's features, the item's, those of both, and what the generators said.

    user_rows: (n_queries, n_user_features); item_rows: (n_candidates, n_item_features), aligned with the candidates.
    computed: the features of `on_demand` that are wanted: all in training, then those that the ranker was trained on.
    Raises ShapeMismatch when rows or columns disagree with the schemas or the candidates.
    """
    _check_shape("user_rows", user_rows.values, (len(queries), len(schemas.user.names)))
    _check_shape("item_rows", item_rows.values, (len(candidates), len(schemas.item.names)))
    parts = [
        user_rows.values[candidates.rows],
        item_rows.values,
        on_demand.compute(OnDemandInputs(catalogue, queries, candidates, user_rows, schemas.user), computed),
        candidates.scores,
        candidates.ranks,
    ]
    names = feature_names(schemas, candidates.names, computed)
    return RankingMatrix(names, np.concatenate(parts, axis=1, dtype=np.float32))


def _check_shape(what: str, values: FloatArray, expected: tuple[int, int]) -> None:
    if values.shape != expected:
        raise ShapeMismatch(
            f"{what} has shape {values.shape}; the schemas and candidates ask for {expected}.",
            "Read the features with the schemas of the release that ranks them.",
        )
