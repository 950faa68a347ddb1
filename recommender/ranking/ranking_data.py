"""The ranker's training rows: what the generators would have proposed at a moment, and what people then wanted.

Nothing at or after a snapshot is known at it: generators are fitted on what lies before it, histories end before it,
features are as of it. Labels alone come from the window after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from contracts.errors import DataTooSmall, ReleaseMismatch
from contracts.features import FeatureRows, FeatureSchema, History, fill_missing
from contracts.fingerprint import fingerprint_json
from contracts.ids import FloatArray, ItemIdxArray
from contracts.tables import CanonicalTables
from recommender.candidates import CandidateSet, gather
from recommender.catalogue import Catalogue
from recommender.generators.base import Generator
from recommender.interactions import Interactions
from recommender.on_demand import on_demand_names
from recommender.query import RetrievalQuery
from recommender.ranking.ranker import RankingRows
from recommender.ranking.ranking_features import Schemas, assemble, feature_names

# In training and in evaluation somebody new is asked about after these many events of the window, as a visitor after
# two clicks.
SESSION_EVENTS = 2

Segments = Mapping[str, Mapping[str, str]]
FitGenerators = Callable[[datetime], Mapping[str, Generator]]
RowOfNewcomer = Callable[[History, datetime], FeatureRows]


@dataclass(frozen=True)
class PointInTimeRows:
    """One entity's feature rows as of several moments.

    table: `<entity>_id`, `as_of` and a column per feature, as `features` writes it; null where missing.
    Raises ReleaseMismatch when a feature of the schema is not in the table.
    """

    table: pl.DataFrame
    schema: FeatureSchema

    def __post_init__(self) -> None:
        missing = sorted(set(self.schema.names) - set(self.table.columns))
        if missing:
            raise ReleaseMismatch(
                f"The training rows of {self.schema.entity} lack {', '.join(missing)}, which the schema has.",
                "They belong to different builds. Run `dvc repro features`.",
            )

    def as_of(self, moment: datetime) -> FeatureTable:
        """The rows of one moment."""
        rows = self.table.filter(pl.col("as_of") == moment)
        ids = rows[f"{self.schema.entity}_id"].to_list()
        values = rows.select(pl.col(name).cast(pl.Float32) for name in self.schema.names).fill_null(float("nan"))
        return FeatureTable({key: position for position, key in enumerate(ids)}, values.to_numpy(), self.schema)


@dataclass(frozen=True)
class FeatureTable:
    """Feature rows by id; an id without a row gets the schema's defaults."""

    position: Mapping[str, int]
    values: FloatArray
    schema: FeatureSchema

    def read(self, ids: Iterable[str | None]) -> FeatureRows:
        """The rows in the order asked; None is nobody the table knows."""
        found = np.array([-1 if key is None else self.position.get(key, -1) for key in ids], np.int64)
        nobody = np.full((1, len(self.schema.names)), np.nan, np.float32)
        return FeatureRows(fill_missing(self.schema, np.concatenate([self.values, nobody])[found]), found >= 0)


@dataclass(frozen=True)
class TrainingQuery:
    """One person at a snapshot. wanted: the items they then touched for the first time, in the order of the index.

    user_id: None of a guest, who gives no name. is_new: no row of theirs is published when they come.
    """

    user_id: str | None
    query: RetrievalQuery
    wanted: ItemIdxArray
    is_new: bool


@dataclass(frozen=True)
class TrainingWorld:
    """What training rows are made of. history_length: events that serving would know of a person, the latest.

    segments: by user_id, what their first requests can tell.
    fit_generators: the generators fitted on what lies strictly before a moment.
    row_of_newcomer: what serving makes, at a moment, of somebody without a published row who has done this much.
    """

    tables: CanonicalTables
    catalogue: Catalogue
    users: PointInTimeRows
    items: PointInTimeRows
    schemas: Schemas
    segments: Segments
    fit_generators: FitGenerators
    row_of_newcomer: RowOfNewcomer
    quotas: Mapping[str, int]
    n_ranked: int
    history_length: int


def build_ranking_rows(world: TrainingWorld, windows: Iterable[tuple[datetime, datetime]]) -> RankingRows:
    """The rows of every snapshot; windows: (snapshot, end of its label window).

    A query none of whose candidates was wanted teaches nothing and is left out; so is a feature computed at the request
    that is known in no row.
    Raises DataTooSmall when no query is left.
    """
    interactions = Interactions.of(world.tables.interactions, world.catalogue.ids)
    parts = [part for window in windows for part in _snapshot_rows(world, interactions, *window)]
    if not parts:
        raise DataTooSmall(
            "At no snapshot did the generators propose anything that somebody then wanted.",
            "Bring more data, or raise request.quotas in params.yaml.",
        )
    rows = RankingRows(
        parts[0].names,
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.group_sizes for part in parts]),
        np.concatenate([part.moments for part in parts]),
    )
    return rows.of_columns(_told(rows))


def _told(rows: RankingRows) -> npt.NDArray[np.bool_]:
    """(n_features,) False for what is computed at the request and known in no row: the ranker can do without it."""
    computed = set(on_demand_names(rows.names))
    return np.array(
        [name not in computed or not np.isnan(rows.values[:, column]).all() for column, name in enumerate(rows.names)]
    )


def _snapshot_rows(
    world: TrainingWorld, interactions: Interactions, moment: datetime, end: datetime
) -> Iterator[RankingRows]:
    generators = world.fit_generators(moment)
    users, items = world.users.as_of(moment), world.items.as_of(moment)
    for asked in training_queries(interactions, moment, end, world.history_length, world.segments):
        candidates = gather(generators, asked.query, world.quotas, world.n_ranked)
        labels = np.isin(candidates.item_idx, asked.wanted)
        if labels.any():
            values = _assemble(world, asked, candidates, users, items)
            yield RankingRows(
                feature_names(world.schemas, candidates.names),
                values,
                labels.astype(np.int32),
                np.array([len(labels)], np.int32),
                np.array([int(moment.timestamp())], np.int64),
            )


def _assemble(
    world: TrainingWorld, asked: TrainingQuery, candidates: CandidateSet, users: FeatureTable, items: FeatureTable
) -> FloatArray:
    return assemble(
        world.catalogue,
        asked.query,
        candidates,
        _user_row(world, asked, users),
        items.read(world.catalogue.ids.external(candidates.item_idx)),
        world.schemas,
    ).values


def _user_row(world: TrainingWorld, asked: TrainingQuery, users: FeatureTable) -> FeatureRows:
    """The training table also tells of newcomers (their age): serving has no row of them, and must not get it here."""
    if asked.is_new and asked.user_id is not None:
        return world.row_of_newcomer(asked.query.history, datetime.fromtimestamp(asked.query.now, UTC))
    return users.read([asked.user_id])


def training_queries(
    interactions: Interactions, moment: datetime, end: datetime, history_length: int, segments: Segments
) -> Iterator[TrainingQuery]:
    """A query for everybody with something to want in the window, in the order of user_id.

    People with history are asked about at the snapshot itself; people without, after their first events in the window,
    which are then all that is known of them. Half of the newcomers, others at every snapshot, are signed in, so that
    their row is brought up to the moment; and half, whether signed in or not, also tell their segment: requests come
    with and without either, and the ranker has to know all four. Others tell no segment: the data knows the
    circumstances of first visits alone, and not those in which somebody would have asked later.
    """
    start, stop = int(np.ceil(moment.timestamp())), int(np.ceil(end.timestamp()))
    for user_idx, user_id in enumerate(interactions.user_ids):
        before = interactions.history(user_idx, 0, start)
        window = interactions.history(user_idx, start, stop)
        now, is_new = start, not len(before)
        if is_new:
            before, window = _first_events(window)
            now = int(before.event_ts[-1]) + 1 if len(before) else start
        wanted = np.setdiff1d(window.item_idx, before.item_idx)
        if len(wanted) and len(before):
            segment = segments.get(user_id, {}) if is_new and _heads(user_id, start, "tells") else {}
            query = RetrievalQuery(
                now, _latest(before, history_length), dict(segment), excluded=np.unique(before.item_idx)
            )
            is_guest = is_new and not _heads(user_id, start, "signs in")
            yield TrainingQuery(None if is_guest else user_id, query, wanted, is_new)


def _heads(user_id: str, start: int, whether: str) -> bool:
    """Heads or tails, by the person, the snapshot and the question alone: nobody else's coming changes it."""
    return int(fingerprint_json([user_id, start, whether])[-1], 16) % 2 == 0


def _first_events(window: History) -> tuple[History, History]:
    first = slice(None, SESSION_EVENTS)
    rest = slice(SESSION_EVENTS, None)
    return window.where(first), window.where(rest)


def _latest(history: History, length: int) -> History:
    return history.where(slice(max(len(history) - length, 0), None))
