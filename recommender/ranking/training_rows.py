"""The ranker's training rows: what generators would have proposed at a moment, labelled by what people then touched.

Nothing at or after a snapshot is known at it: generators are fitted on what lies before it, histories end before it,
features are as of it. Labels alone come from the window after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from contracts.batches import batches_of
from contracts.errors import DataTooSmall
from contracts.features import FeatureRows, History
from contracts.tables import CanonicalTables
from recommender.candidates import encode_all, gather
from recommender.catalogue import Catalogue
from recommender.exclusion import FOR_EVER, ExclusionRule
from recommender.generators.base import Generator
from recommender.interactions import Interactions
from recommender.on_demand import on_demand_names
from recommender.query import QueryBatch
from recommender.ragged import RaggedItems, is_among
from recommender.ranking.feature_tables import FeatureTable, PointInTimeRows
from recommender.ranking.ranker import RankingRows
from recommender.ranking.ranking_features import Schemas, assemble
from recommender.ranking.training_queries import Segments, TrainingQuery, sample_people, training_queries

ASKED_TOGETHER = 64  # queries
MIN_SNAPSHOTS = 4  # that are learnt from where there are as many: the latest quarter of them is held back

Window = tuple[datetime, datetime]

FitGenerators = Callable[[datetime], Mapping[str, Generator]]
ColdStartRow = Callable[[History, datetime], FeatureRows]


@dataclass(frozen=True)
class RankingInputs:
    """What training rows are made of. history_length: events that serving would know of a person, the latest.

    segments: by user_id, what their first requests can tell.
    fit_generators: the generators fitted on what lies strictly before a moment.
    excluding: what is not proposed to a person, because of what they did before.
    cold_start_row: the row that serving reads, at a moment, of a person without a published row and with this history.
    max_queries: that are learnt from; None for all there are.
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
    max_queries: int | None = None


def build_ranking_rows(
    inputs: RankingInputs,
    windows: Sequence[Window],
    progress: Callable[[Iterable[Window]], Iterable[Window]] = iter,
) -> RankingRows:
    """The rows of the snapshots; windows: (snapshot, end of its label window), oldest first.

    Where inputs.max_queries bounds them: the latest MIN_SNAPSHOTS, and those before until the bound is met, each with
    an equal share of the bound at most, by lot. A query then weighs as many people as it stands for.

    A query without a positive among its candidates teaches nothing and is left out; so is a feature computed at the
    request that is known in no row.
    Raises DataTooSmall when no query is left.
    """
    interactions = Interactions.of(inputs.tables.interactions, inputs.catalogue.ids)
    parts = _latest_parts(inputs, interactions, progress(windows[::-1]))
    if not any(len(part.group_sizes) for part in parts):
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
        np.concatenate([part.weights for part in parts]),
    )
    return rows.of_columns(_known_features(rows))


def _latest_parts(inputs: RankingInputs, interactions: Interactions, windows: Iterable[Window]) -> list[RankingRows]:
    """The rows in the order of time; windows: the latest first."""
    snapshots: list[list[RankingRows]] = []
    for window in windows:
        n_queries = sum(len(part.group_sizes) for parts in snapshots for part in parts)
        if inputs.max_queries and len(snapshots) >= MIN_SNAPSHOTS and n_queries >= inputs.max_queries:
            break
        snapshots.append(list(_snapshot_rows(inputs, interactions, *window)))
    return [part for parts in reversed(snapshots) for part in parts]


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
    most = inputs.max_queries and -(-inputs.max_queries // MIN_SNAPSHOTS)
    people = sample_people(interactions, moment, end, most)
    asked = training_queries(
        interactions, moment, end, inputs.history_length, inputs.segments, inputs.excluding, people
    )
    for block in batches_of(asked, ASKED_TOGETHER):
        rows = _block_rows(inputs, generators, block, users, items, int(moment.timestamp()))
        yield replace(rows, weights=rows.weights * people.weight)


def _block_rows(
    inputs: RankingInputs,
    generators: Mapping[str, Generator],
    block: Sequence[TrainingQuery],
    users: FeatureTable,
    items: FeatureTable,
    moment: int,
) -> RankingRows:
    """The rows of those queries that have a positive among their candidates."""
    queries = QueryBatch.of([one.query for one in block])
    candidates = gather(encode_all(generators, queries), queries, inputs.quotas, inputs.n_ranked)
    positives = RaggedItems.of(one.positives for one in block)
    labels = is_among(candidates.items.keys, positives.keys)
    matrix = assemble(
        inputs.catalogue,
        queries,
        candidates,
        _user_rows(inputs, block, users),
        items.read(inputs.catalogue.ids.external(candidates.item_idx)),
        inputs.schemas,
    )
    has_positive = np.bincount(candidates.rows, labels, len(block)) > 0
    rows = RankingRows(
        matrix.names,
        matrix.values,
        labels.astype(np.int32),
        candidates.items.lengths.astype(np.int32),
        np.full(len(block), moment, np.int64),
        np.ones(len(block)),
    )
    return rows.of_queries(has_positive)


def _user_rows(inputs: RankingInputs, block: Sequence[TrainingQuery], users: FeatureTable) -> FeatureRows:
    """The training table also tells of newcomers (their age): serving has no row of them, and must not get it here."""
    rows = users.read([one.user_id for one in block])
    for at, one in enumerate(block):
        if one.is_new and one.user_id is not None:
            cold = inputs.cold_start_row(one.query.history, datetime.fromtimestamp(one.query.now, UTC))
            rows.values[at], rows.known[at] = cold.values[0], cold.known[0]
    return rows
