"""The ranker's training rows: what generators would have proposed at a moment, labelled by what people then touched.

Nothing at or after a snapshot is known at it: generators are fitted on what lies before it, histories end before it,
features are as of it. Labels alone come from the window after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from contracts.errors import DataTooSmall
from contracts.features import FeatureRows, History
from contracts.ids import FloatArray
from contracts.tables import CanonicalTables
from recommender.candidates import CandidateSet, gather
from recommender.catalogue import Catalogue
from recommender.exclusion import FOR_EVER, ExclusionRule
from recommender.generators.base import Generator
from recommender.interactions import Interactions
from recommender.on_demand import on_demand_names
from recommender.ranking.feature_tables import FeatureTable, PointInTimeRows
from recommender.ranking.ranker import RankingRows
from recommender.ranking.ranking_features import Schemas, assemble, feature_names
from recommender.ranking.training_queries import Segments, TrainingQuery, training_queries

FitGenerators = Callable[[datetime], Mapping[str, Generator]]
ColdStartRow = Callable[[History, datetime], FeatureRows]


@dataclass(frozen=True)
class RankingInputs:
    """What training rows are made of. history_length: events that serving would know of a person, the latest.

    segments: by user_id, what their first requests can tell.
    fit_generators: the generators fitted on what lies strictly before a moment.
    excluding: what is not proposed to a person, because of what they did before.
    cold_start_row: the row that serving reads, at a moment, of a person without a published row and with this history.
    """

    tables: CanonicalTables
    catalogue: Catalogue
    users: PointInTimeRows
    items: PointInTimeRows
    schemas: Schemas
    segments: Segments
    fit_generators: FitGenerators
    cold_start_row: ColdStartRow
    quotas: Mapping[str, int]
    n_ranked: int
    history_length: int
    excluding: ExclusionRule = FOR_EVER


def build_ranking_rows(inputs: RankingInputs, windows: Iterable[tuple[datetime, datetime]]) -> RankingRows:
    """The rows of every snapshot; windows: (snapshot, end of its label window).

    A query without a positive among its candidates teaches nothing and is left out; so is a feature computed at the
    request that is known in no row.
    Raises DataTooSmall when no query is left.
    """
    interactions = Interactions.of(inputs.tables.interactions, inputs.catalogue.ids)
    parts = [part for window in windows for part in _snapshot_rows(inputs, interactions, *window)]
    if not parts:
        raise DataTooSmall(
            "At no snapshot did the generators propose anything that somebody then touched.",
            "Bring more data, or raise request.quotas in params.yaml.",
        )
    rows = RankingRows(
        parts[0].names,
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.group_sizes for part in parts]),
        np.concatenate([part.moments for part in parts]),
    )
    return rows.of_columns(_known_features(rows))


def _known_features(rows: RankingRows) -> npt.NDArray[np.bool_]:
    """(n_features,) False for an on-demand feature that is known in no row: the ranker can do without it."""
    computed = set(on_demand_names(rows.names))
    return np.array(
        [name not in computed or not np.isnan(rows.values[:, column]).all() for column, name in enumerate(rows.names)]
    )


def _snapshot_rows(
    inputs: RankingInputs, interactions: Interactions, moment: datetime, end: datetime
) -> Iterator[RankingRows]:
    generators = inputs.fit_generators(moment)
    users, items = inputs.users.as_of(moment), inputs.items.as_of(moment)
    for training_query in training_queries(
        interactions, moment, end, inputs.history_length, inputs.segments, inputs.excluding
    ):
        candidates = gather(generators, training_query.query, inputs.quotas, inputs.n_ranked)
        labels = np.isin(candidates.item_idx, training_query.positives)
        if labels.any():
            values = _assemble(inputs, training_query, candidates, users, items)
            yield RankingRows(
                feature_names(inputs.schemas, candidates.names),
                values,
                labels.astype(np.int32),
                np.array([len(labels)], np.int32),
                np.array([int(moment.timestamp())], np.int64),
            )


def _assemble(
    inputs: RankingInputs,
    training_query: TrainingQuery,
    candidates: CandidateSet,
    users: FeatureTable,
    items: FeatureTable,
) -> FloatArray:
    return assemble(
        inputs.catalogue,
        training_query.query,
        candidates,
        _user_row(inputs, training_query, users),
        items.read(inputs.catalogue.ids.external(candidates.item_idx)),
        inputs.schemas,
    ).values


def _user_row(inputs: RankingInputs, training_query: TrainingQuery, users: FeatureTable) -> FeatureRows:
    """The training table also tells of newcomers (their age): serving has no row of them, and must not get it here."""
    if training_query.is_new and training_query.user_id is not None:
        return inputs.cold_start_row(
            training_query.query.history, datetime.fromtimestamp(training_query.query.now, UTC)
        )
    return users.read([training_query.user_id])
