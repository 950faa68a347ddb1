"""The ranker's training rows: what generators would have proposed at a moment, labelled by what people then touched.

Nothing at or after a snapshot is known at it: generators are fitted on what lies before it, histories end before it,
features are as of it. Labels alone come from the window after it. Cutoffs whose snapshots coincide share the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from contracts.batches import batches_of
from contracts.errors import DataTooSmall
from contracts.features import History, ReadRows
from contracts.id_map import IdMap
from contracts.tables import CanonicalTables
from recommender.candidates import encode_all, gather
from recommender.catalogue import Catalogue
from recommender.exclusion import FOR_EVER, ExclusionRule
from recommender.generators.base import Generator
from recommender.interactions import Interactions
from recommender.on_demand import on_demand_names
from recommender.query import QueryBatch, RetrievalQuery
from recommender.ragged import RaggedItems, is_among
from recommender.ranking.feature_tables import FeatureTable, PointInTimeRows
from recommender.ranking.ranker import RankingRows
from recommender.ranking.ranking_features import Schemas, assemble
from recommender.ranking.training_queries import Segments, TrainingQuery, sample_people, training_queries
from recommender.segments import published_segments, told_or_published

ASKED_TOGETHER = 64  # queries
MIN_SNAPSHOTS = 4  # that are learnt from where there are as many: the latest quarter of them is held back

Cutoff = TypeVar("Cutoff", bound=str)
Window = tuple[datetime, datetime]

Fit = tuple[Catalogue, Mapping[str, Generator]]  # what is known of the items, and the generators by name
FitGenerators = Callable[[Sequence[datetime]], Iterable[Fit]]
ColdStartRow = Callable[[History, datetime], ReadRows]


@dataclass(frozen=True)
class RankingInputs:
    """What training rows are made of. history_length: events that serving would know of a person, the latest.

    ids: of the items. segments: by user_id, what their first requests can tell.
    fit_generators: the generators fitted on what lies strictly before each of some moments.
    excluding: what is not proposed to a person, because of what they did before.
    cold_start_row: the row that serving reads, at a moment, of a person without a published row and with this history.
    max_queries: that are asked; None for all there are.
    segments_of_people: whether what is published of a person tells their segment.
    """

    tables: CanonicalTables
    ids: IdMap
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
    segments_of_people: bool = False


def build_ranking_rows(inputs: RankingInputs, windows: Sequence[Window]) -> RankingRows:
    """The rows of the snapshots of one cutoff; see `build_rows_of_cutoffs`."""
    ((_, rows),) = build_rows_of_cutoffs(inputs, {"": windows})
    return rows


def build_rows_of_cutoffs(
    inputs: RankingInputs,
    windows: Mapping[Cutoff, Sequence[Window]],
    progress: Callable[[Sequence[Window]], Iterable[Window]] = iter,
) -> Iterator[tuple[Cutoff, RankingRows]]:
    """The rows of each cutoff's snapshots, put together when they are asked for.

    windows: by cutoff, (snapshot, end of its label window), oldest first. Those learnt from are chosen by
    `learnt_windows`. Of more people than an equal share of inputs.max_queries, some are asked by lot; a query then
    weighs as many people as it stands for.

    A query without a positive among its candidates teaches nothing and is left out; so is a feature computed at the
    request that is known in no row.
    Raises DataTooSmall when no query is left.
    """
    interactions = Interactions.of(inputs.tables.interactions, inputs.ids)
    learnt = {
        cutoff: learnt_windows(interactions, of_cutoff, inputs.max_queries) for cutoff, of_cutoff in windows.items()
    }
    every = sorted({window for of_cutoff in learnt.values() for window in of_cutoff})
    parts = dict(_parts_by_window(inputs, interactions, every, progress))
    for cutoff, of_cutoff in learnt.items():
        yield cutoff, _joined([part for window in of_cutoff for part in parts[window]])


def learnt_windows(interactions: Interactions, windows: Sequence[Window], max_queries: int | None) -> Sequence[Window]:
    """The latest MIN_SNAPSHOTS, and those before until max_queries people are asked; oldest first, as `windows` are."""
    n_asked = 0
    for n_chosen, (moment, end) in enumerate(reversed(windows)):
        if max_queries and n_chosen >= MIN_SNAPSHOTS and n_asked >= max_queries:
            return windows[len(windows) - n_chosen :]
        n_asked += len(sample_people(interactions, moment, end, _most_people(max_queries)).user_idx)
    return windows


def _most_people(max_queries: int | None) -> int | None:
    """That are asked at one snapshot."""
    return max_queries and -(-max_queries // MIN_SNAPSHOTS)


def _parts_by_window(
    inputs: RankingInputs,
    interactions: Interactions,
    windows: Sequence[Window],
    progress: Callable[[Sequence[Window]], Iterable[Window]],
) -> Iterator[tuple[Window, list[RankingRows]]]:
    """The rows of each window; windows: sorted. Generators are fitted once for those that begin at one moment."""
    moments = sorted({moment for moment, _ in windows})
    by_moment = groupby(progress(windows), key=lambda window: window[0])
    for (_, together), fit in zip(by_moment, inputs.fit_generators(moments), strict=True):
        for window in together:
            yield window, list(_snapshot_rows(inputs, interactions, fit, *window))


def _joined(parts: Sequence[RankingRows]) -> RankingRows:
    if not any(len(part.group_sizes) for part in parts):
        raise DataTooSmall(
            "At no snapshot did the generators propose anything that somebody then touched.",
            "Bring more data, or raise request.quotas in params.yaml.",
        )
    known = _known_features(parts)
    return RankingRows(
        tuple(name for name, is_known in zip(parts[0].names, known, strict=True) if is_known),
        np.concatenate([part.values[:, known] for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.group_sizes for part in parts]),
        np.concatenate([part.moments for part in parts]),
        np.concatenate([part.weights for part in parts]),
    )


def _known_features(parts: Sequence[RankingRows]) -> npt.NDArray[np.bool_]:
    """(n_features,) False for an on-demand feature that is known in no row: the ranker can do without it."""
    computed = set(on_demand_names(parts[0].names))
    is_known = np.any([~np.isnan(part.values).all(axis=0) for part in parts], axis=0)
    return np.asarray([name not in computed for name in parts[0].names] | is_known)


def _snapshot_rows(
    inputs: RankingInputs, interactions: Interactions, fit: Fit, moment: datetime, end: datetime
) -> Iterator[RankingRows]:
    users, items = inputs.users.as_of(moment), inputs.items.as_of(moment)
    people = sample_people(interactions, moment, end, _most_people(inputs.max_queries))
    asked = training_queries(
        interactions, moment, end, inputs.history_length, inputs.segments, inputs.excluding, people
    )
    for block in batches_of(asked, ASKED_TOGETHER):
        rows = _block_rows(inputs, fit, block, users, items, int(moment.timestamp()))
        yield replace(rows, weights=rows.weights * people.weight)


def _block_rows(
    inputs: RankingInputs,
    fit: Fit,
    block: Sequence[TrainingQuery],
    users: FeatureTable,
    items: FeatureTable,
    moment: int,
) -> RankingRows:
    """The rows of those queries that have a positive among their candidates."""
    catalogue, generators = fit
    user_rows = _user_rows(inputs, block, users)
    queries = QueryBatch.of(_with_segments(inputs, block, user_rows))
    candidates = gather(encode_all(generators, queries), queries, inputs.quotas, inputs.n_ranked)
    positives = RaggedItems.of(one.positives for one in block)
    labels = is_among(candidates.items.keys, positives.keys)
    matrix = assemble(
        catalogue,
        queries,
        candidates,
        user_rows,
        items.read(inputs.ids.external(candidates.item_idx)),
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


def _with_segments(inputs: RankingInputs, block: Sequence[TrainingQuery], people: ReadRows) -> list[RetrievalQuery]:
    """The queries, as the request path makes them of what is published of the people."""
    queries = [one.query for one in block]
    if not inputs.segments_of_people:
        return queries
    of_each = zip(queries, published_segments(inputs.schemas.user, people), strict=True)
    return [replace(query, segment=told_or_published(query.segment, published)) for query, published in of_each]


def _user_rows(inputs: RankingInputs, block: Sequence[TrainingQuery], users: FeatureTable) -> ReadRows:
    """The training table also tells of newcomers (their age): serving has no row of them, and must not get it here."""
    rows = users.read([one.user_id for one in block])
    for at, one in enumerate(block):
        if one.is_new and one.user_id is not None:
            cold = inputs.cold_start_row(one.query.history, datetime.fromtimestamp(one.query.now, UTC))
            rows.values[at], rows.known[at], rows.missing[at] = cold.values[0], cold.known[0], cold.missing[0]
    return rows
