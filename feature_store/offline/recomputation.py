"""What readers should have given: rows and histories of any keys at any moments, computed again from the canonical
tables by the offline store's own functions.

`expected_rows` is the one place that says what an online row must be: as it was published, and of people the live
features as of the request, under the terms of `live_features`. A live feature is what was published, changed by as much
as the offline store's value changed from that over the history alone, as of `as_of`, to that over the history and the
recent events that were logged, as of `now`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from contracts.calendar import MICROSECONDS_PER_SECOND, epoch_microseconds
from contracts.errors import ReleaseMismatch
from contracts.events import EVENT_CODES, EVENT_TYPE_OF, EventType
from contracts.features import Entity, FeatureSchema, ReadRows
from contracts.id_map import IdMap
from contracts.ids import FloatArray
from contracts.positive_events import positive_events
from contracts.tables import UTC_TIME, CanonicalTables
from feature_store.definitions import features_of
from feature_store.definitions.views import AggregateFunction
from feature_store.offline.offline_store import histories_as_of, point_in_time_join
from feature_store.online.packing import epoch_seconds, moment_of
from feature_store.readers.live_features import LIVE_FEATURES, LIVE_NAMES, LiveFeature, is_same_event
from feature_store.readers.ttl_and_defaults import default_rows, usable_rows
from feature_store.values.histories import histories_of_items

DAY = timedelta(days=1)


@dataclass(frozen=True)
class RowKey:
    """One row that was read.

    as_of: when it was true; now: when it was read. recent: of a person, what was known of them since.
    """

    entity_id: str
    as_of: datetime
    now: datetime
    recent: tuple[LoggedEvent, ...] = ()


class LoggedEvent(NamedTuple):
    """One recent event. item_id: of an item that the release does not know, any name that is no item's; None where the
    log does not tell it."""

    event_us: int
    event_type: EventType
    item_id: str | None


class _HistoryEvent(NamedTuple):
    """One event of a history that a reader gives. second: epoch seconds; code: of the type."""

    second: int
    code: int
    item_id: str


# By person and as_of, oldest first.
_Histories = defaultdict[tuple[str, datetime], list[_HistoryEvent]]


@dataclass(frozen=True)
class ExpectedHistory:
    """n_events: how many a reader gives; last_ts: of the last one, epoch seconds, None where there is none."""

    n_events: int
    last_ts: int | None


def expected_rows(
    tables: CanonicalTables,
    schema: FeatureSchema,
    keys: Sequence[RowKey],
    history_length: int,
    item_ids: IdMap,
    *,
    has_event_types: bool = True,
) -> ReadRows:
    """The row that a reader of this schema must give for each key at its moment, in the order of the keys.

    history_length, item_ids: see `expected_histories`. has_event_types: whether the release's histories have types,
    see `live_features`.
    Raises ReleaseMismatch when a feature of the schema is not declared here.
    """
    _check_declared(schema)
    known = _has_row(tables, schema.entity, keys)
    values = np.where(known[:, None], _published_values(tables, schema, keys), np.float32(np.nan))
    written = np.array([epoch_seconds(key.as_of) for key in keys], np.int64)
    rows, read_at = default_rows(schema, len(keys)), defaultdict(list)
    for position, key in enumerate(keys):
        read_at[key.now].append(position)
    for now, at in read_at.items():
        part = usable_rows(schema, values[at], written[at], known[at], now)
        rows.values[at], rows.known[at] = part.values, part.known
        rows.missing[at], rows.written[at] = part.missing, part.written
    if schema.entity is Entity.USER:
        later = [at for at, key in enumerate(keys) if key.recent or _epoch_second(key.now) > _epoch_second(key.as_of)]
        columns = [column for column, name in enumerate(schema.names) if name in LIVE_NAMES]
        if later and columns:
            offline = _offline_values(
                tables, [keys[at] for at in later], rows.known[later], history_length, item_ids, has_event_types
            )
            _write_live_values(offline, schema, rows, later, columns)
    return rows


@dataclass(frozen=True)
class _OfflineValues:
    """The offline store's values over what a reader holds of some keys: a row per key, a column per feature.

    history_then: over their histories alone, as of the second of as_of; all_now, since: as of now, over their histories
    and what came in since, and over the latter alone. stands: whether the row is as it was published. grown: the days
    from then to now. has_types: whether it is known of what type the events are.
    """

    history_then: pl.DataFrame
    all_now: pl.DataFrame
    since: pl.DataFrame
    stands: npt.NDArray[np.bool_]
    grown: npt.NDArray[np.float64]
    has_types: npt.NDArray[np.bool_]

    def now(self, feature: LiveFeature, reach: timedelta, published: FloatArray) -> FloatArray:
        """The live feature as of now. published: NaN where missing, and so is what is returned."""
        then, now, since = (
            values[feature.name].cast(pl.Float32).fill_null(float("nan")).to_numpy()
            for values in (self.history_then, self.all_now, self.since)
        )
        if feature.aggregation.function is AggregateFunction.COUNT:
            begins_before = self.grown < reach / DAY
            changed = np.where(begins_before, np.maximum(np.nan_to_num(published) - then + (now - since), 0), 0)
            count = np.where(self.stands, np.nan_to_num(published), changed) + since
            # Where nothing came in, the count of somebody without a row, or with an old one, stays missing.
            return np.where(np.isnan(published) & (since == 0), published, count)
        aged = np.where(is_same_event(published, then), now, (published.astype(np.float64) + self.grown))
        days = np.where(self.stands, published, aged)
        first, second = (
            (since, days) if feature.aggregation.function is AggregateFunction.DAYS_SINCE_LAST else (days, since)
        )
        return np.where(np.isnan(first), second, first).astype(np.float32)


def _write_live_values(
    offline: _OfflineValues, schema: FeatureSchema, rows: ReadRows, later: Sequence[int], columns: Sequence[int]
) -> None:
    """Put the live features of people as of `now` into their rows. later, columns: which rows, and which features."""
    reaches = {feature.name: view.reach for feature, view in features_of(schema.entity)}
    live = {feature.name: feature for feature in LIVE_FEATURES}
    for column in columns:
        name = schema.names[column]
        published = np.where(rows.missing[later, column], np.float32(np.nan), rows.values[later, column])
        values = offline.now(live[name], reaches[name], published)
        if live[name].aggregation.event_types:
            values = np.where(offline.has_types, values, published)
        missing = np.isnan(values)
        rows.values[later, column] = np.where(missing, schema.defaults[column], values)
        rows.missing[later, column] = missing


def _offline_values(
    tables: CanonicalTables,
    keys: Sequence[RowKey],
    known: npt.NDArray[np.bool_],
    history_length: int,
    item_ids: IdMap,
    has_event_types: bool,
) -> _OfflineValues:
    """known: whether there is a row of each key."""
    histories = _histories(tables, keys, history_length, item_ids)
    seconds = [_epoch_second(key.as_of) if is_known else 0 for key, is_known in zip(keys, known.tolist(), strict=True)]
    then, n = [moment_of(second) for second in seconds], len(keys)
    events = list(_events_of_keys(histories, keys, seconds, has_event_types))
    interactions = _interactions_table(events, tables.interactions.schema)
    spine = _spine_of_keys(then, [key.now for key in keys])
    joined = point_in_time_join(spine, replace(tables, interactions=interactions), Entity.USER)
    moved = [(key.now - moment) / DAY for key, moment in zip(keys, then, strict=True)]
    stands = ~known | np.array(
        [_epoch_second(key.now) <= second for key, second in zip(keys, seconds, strict=True)], bool
    )
    has_types = [has_event_types or not histories[key.entity_id, key.as_of] for key in keys]
    return _OfflineValues(
        joined[:n], joined[n : 2 * n], joined[2 * n :], stands, np.array(moved), np.array(has_types, bool)
    )


def _names_of_key(at: int) -> tuple[str, str, str]:
    """Three people for the key of this number: with its history, with that and what came since, with that alone.

    Each key has its own: what was known of the same person differs from key to key.
    """
    return f"history{at}", f"both{at}", f"since{at}"


def _spine_of_keys(then: Sequence[datetime], now: Sequence[datetime]) -> pl.DataFrame:
    """The people of all keys: those with a history as of `then`, behind them the others as of `now`."""
    history, both, since = zip(*map(_names_of_key, range(len(then))), strict=True) if then else ((), (), ())
    return pl.DataFrame(
        {"user_id": [*history, *both, *since], "as_of": [*then, *now, *now]},
        schema={"user_id": pl.String(), "as_of": UTC_TIME},
    )


def _events_of_keys(
    histories: _Histories, keys: Sequence[RowKey], seconds: Sequence[int], has_event_types: bool
) -> Iterator[tuple[str, int, EventType, str | None]]:
    """The events of the people of all keys. seconds: up to when each key's history goes."""
    for at, (key, second) in enumerate(zip(keys, seconds, strict=True)):
        history, both, since = _names_of_key(at)
        for event in _history_events(histories, key, has_event_types):
            yield from ((name, *event) for name in (history, both))
        for event in _events_since(histories, key, second):
            yield from ((name, *event) for name in (since, both))


def _history_events(histories: _Histories, key: RowKey, has_event_types: bool) -> list[LoggedEvent]:
    """The events of a key's history, at the moments at which they count."""
    before_us = _epoch_second(key.as_of) * MICROSECONDS_PER_SECOND
    return [
        LoggedEvent(
            min(second * MICROSECONDS_PER_SECOND, before_us - 1),
            # Nothing that a return could take back where the history does not say what it was.
            EVENT_TYPE_OF[code] if has_event_types else EventType.RATING,
            item_id,
        )
        for second, code, item_id in histories[key.entity_id, key.as_of]
    ]


def _events_since(histories: _Histories, key: RowKey, row_second: int) -> list[LoggedEvent]:
    """The recent events of a key that are not in its row, likewise."""
    in_history = set(histories[key.entity_id, key.as_of])
    seconds_and_codes = {event[:2] for event in in_history}
    as_of_us, just_now = epoch_microseconds(key.as_of), epoch_microseconds(key.now) - 1

    def is_in_history(event: LoggedEvent) -> bool:
        second, code = event.event_us // MICROSECONDS_PER_SECOND, EVENT_CODES[event.event_type]
        if event.item_id is None:
            # An event of that second and type in the history, before as_of, is taken for this one.
            return event.event_us < as_of_us and (second, code) in seconds_and_codes
        return _HistoryEvent(second, code, event.item_id) in in_history

    return [
        # What is stamped later has happened all the same, just now.
        event._replace(event_us=min(event.event_us, just_now))
        for event in key.recent
        if event.event_us // MICROSECONDS_PER_SECOND >= row_second and not is_in_history(event)
    ]


def _interactions_table(events: Sequence[tuple[str, int, EventType, str | None]], schema: pl.Schema) -> pl.DataFrame:
    """Interactions of these people at these moments, of these types; an aggregation asks for no more of them."""
    named = {"user_id": pl.String(), "event_ts": pl.Int64(), "event_type": pl.String(), "item_id": pl.String()}
    told = [(user_id, event_us, str(kind), item_id) for user_id, event_us, kind, item_id in events]
    rows = pl.DataFrame(told, schema=named, orient="row")
    return pl.concat([pl.DataFrame(schema=schema), rows.cast({"event_ts": UTC_TIME})], how="diagonal_relaxed")


def _epoch_second(moment: datetime) -> int:
    return epoch_microseconds(moment) // MICROSECONDS_PER_SECOND


def expected_histories(
    tables: CanonicalTables, keys: Sequence[RowKey], history_length: int, item_ids: IdMap
) -> list[ExpectedHistory]:
    """How long each person's history must have been, and when it must have ended, in the order of the keys.

    history_length: events kept per person; item_ids: of the release, whose histories hold no other items.
    """
    histories = _histories(tables, keys, history_length, item_ids)
    mine = (histories[key.entity_id, key.as_of] for key in keys)
    return [ExpectedHistory(len(events), events[-1].second if events else None) for events in mine]


def _histories(tables: CanonicalTables, keys: Sequence[RowKey], history_length: int, item_ids: IdMap) -> _Histories:
    people = pl.Series([key.entity_id for key in keys], dtype=pl.String).unique().implode()
    interactions = tables.interactions.filter(pl.col("user_id").is_in(people))
    histories: _Histories = defaultdict(list)
    for as_of in {key.as_of for key in keys}:
        table = histories_of_items(histories_as_of(interactions, as_of, history_length), item_ids)
        for user_id, *events in table.select("user_id", "event_ts", "event_types", "item_ids").iter_rows():
            histories[user_id, as_of] = [_HistoryEvent(*event) for event in zip(*events, strict=True)]
    return histories


def _published_values(tables: CanonicalTables, schema: FeatureSchema, keys: Sequence[RowKey]) -> FloatArray:
    """(n_keys, n_features) as they were true at as_of, NaN where missing."""
    spine = pl.DataFrame(
        {f"{schema.entity}_id": [key.entity_id for key in keys], "as_of": [key.as_of for key in keys]},
        schema={f"{schema.entity}_id": pl.String(), "as_of": UTC_TIME},
    )
    joined = point_in_time_join(spine, tables, schema.entity).select(schema.names)
    return joined.select(pl.all().cast(pl.Float32).fill_null(float("nan"))).to_numpy()


def _has_row(tables: CanonicalTables, entity: Entity, keys: Sequence[RowKey]) -> npt.NDArray[np.bool_]:
    """Whether there is a row at all: of who did anything before, and of every item of the catalogue."""
    if entity is Entity.ITEM:
        items = set(tables.items["item_id"])
        return np.array([key.entity_id in items for key in keys], bool)
    first = positive_events(tables.interactions).group_by("user_id").agg(pl.col("event_ts").min())
    began: dict[str, datetime] = dict(first.iter_rows())
    return np.array([key.entity_id in began and began[key.entity_id] < key.as_of for key in keys], bool)


def _check_declared(schema: FeatureSchema) -> None:
    declared = tuple(feature.name for feature, _ in features_of(schema.entity))
    undeclared = [name for name in schema.names if name not in declared]
    if undeclared:
        raise ReleaseMismatch(
            f"The release has the {schema.entity} features {', '.join(undeclared)}, which are not declared here; those "
            f"declared are {', '.join(declared)}.",
            "Compute with the code the release was built with: `git checkout release/<id>`, then ask again.",
        )
