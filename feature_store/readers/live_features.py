"""Live features: a person's counts and recencies, of all events or of those of a type, brought from the moment of
publishing up to that of the request.

Live are features that are declared by aggregations (`LIVE_FEATURES`). Their values are those that the offline store
computes at `now`: of the events with `now - reach <= event_ts < now`, those before the row's `as_of` by what was
published and the history, those since by the person's recent events. All of it holds under these terms:

- A history tells whole seconds. An event counts as at the beginning of its second, though before `as_of`: in the second
  in which a window begins, one may stay or leave too early. Data in whole seconds is exact.
- Days grow from the history's first or last event where the row tells the same to the second. Where it does not, that
  event is not in the history, and they grow from what was published, a 32-bit number.
- A history may lack events that were counted when the row was published: older than its length, or of an item that the
  release does not know. They are taken to stay until the window begins after `as_of`: a count is never too low by them,
  and too high by no more of them than left the window since `as_of`.
- A history of a bundle before format version 3 tells no types: features of types stay as they were published.
- Recent events that the list dropped (`serving.recent_length`, `serving.recent_ttl_hours`) are not counted.
- An event of the recent list counts if it came in or after the second of `as_of` and is not in the history; what is
  older, the row already tells. The same event sent twice counts once (same item, type, time and value).
- A return takes back the purchase that `contracts.returns` says: of the recent events, else of the history. Where that
  one is in neither, as of an item that the release does not know, it counts until the next row. A return that came in
  before the second of `as_of` is told by the row. Days since an event that was taken back become those since the last,
  or the first, that the history still holds; missing where it holds none.
- An event stamped `now` or later has happened all the same, a microsecond ago: clocks of workers and clients differ.
- In the very second of `as_of` the row stands as it was published; there is nothing it could have lost.

Session events without a person count for nobody's row: offline, they are nobody's either.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from contracts.calendar import (
    MICROSECOND,
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_SECOND,
    SECONDS_PER_DAY,
    epoch_microseconds,
)
from contracts.events import EVENT_CODES, UNSPECIFIED_TYPE, EventType
from contracts.features import Entity, FeatureSchema, History, Person, ReadRows, RecentEvents
from contracts.id_map import UNKNOWN
from contracts.returns import taken_back_by
from feature_store.definitions import views_of
from feature_store.definitions.view_terms import WITHOUT_END
from feature_store.definitions.views import (
    AggregateFunction,
    Aggregation,
    EventTypes,
    FeatureView,
)

_PURCHASE, _RETURN = EVENT_CODES[EventType.PURCHASE], EVENT_CODES[EventType.RETURN]
SECOND_DAYS = np.float32(1 / SECONDS_PER_DAY)

Columns = npt.NDArray[np.intp]
Cells = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class LiveFeature:
    """An aggregation of a person's events that can go on from where the published row ended. window: None for all."""

    name: str
    aggregation: Aggregation
    window: timedelta | None


def live_features(views: Iterable[FeatureView]) -> Iterator[LiveFeature]:
    """The live features that these views declare."""
    for view in views:
        for feature, aggregation in zip(view.features, view.aggregations, strict=False):  # an expression has none
            # A history of the latest events does not tell which event was the first in a window, and a window with an
            # end would have to forget events too.
            if aggregation.function is AggregateFunction.COUNT or (
                aggregation.function is not AggregateFunction.MEAN_VALUE
                and view.window is None
                and view.ttl >= WITHOUT_END
            ):
                yield LiveFeature(feature.name, aggregation, view.window)


LIVE_FEATURES = tuple(live_features(views_of(Entity.USER)))
LIVE_NAMES = frozenset(feature.name for feature in LIVE_FEATURES)


def with_live_features(person: Person, schema: FeatureSchema, now: datetime) -> Person:
    """The person with the live features of their row as of now; every other feature stays as it was read.

    schema: of the row; live features that it does not have are left out.
    """
    moment = _Moment.of(now, person)
    columns_by_types = _live_columns(schema)
    if not columns_by_types or (moment.is_of_row and not len(moment.since)):
        return person
    values, missing = person.features.values.copy(), person.features.missing.copy()
    for live_columns in columns_by_types:
        live_columns.write(moment, values[0], missing[0])
    return replace(person, features=ReadRows(values, person.features.known, missing, person.features.written))


@dataclass(frozen=True)
class WholeHistory:
    """What a person did, up to now and in this session, oldest first; known items alone.

    taken_back: the purchases that were taken back since the row was published; `standing` is all the rest.
    """

    standing: History
    taken_back: History

    @property
    def touched(self) -> History:
        """All of it, what was taken back last."""
        return self.standing.followed_by(self.taken_back) if len(self.taken_back) else self.standing


def whole_history(person: Person) -> WholeHistory:
    """The history, and what was done since by the person and in this session.

    Each event once: it is the same in both lists if item, type and time are, and in the history, which tells whole
    seconds, if item, type and second are.
    """
    if not len(person.recent) and not len(person.session):
        return WholeHistory(person.history, History.empty())
    as_of = int(person.features.written[0])
    later = _events_since_row(as_of, person).followed_by(person.session)
    later = later.where((later.item_idx > UNKNOWN) & ~_in_history(later, person.history))
    times = later.event_us.tolist()
    events = zip(times, later.item_idx.tolist(), later.event_types.tolist(), strict=True)
    once = {event: at for at, event in enumerate(events)}
    later = later.where(np.array(sorted(once.values(), key=times.__getitem__), np.intp))
    done_since = History(later.item_idx, later.event_ts, later.event_types, later.values)
    is_return = later.event_types == _RETURN
    if not is_return.any():
        return WholeHistory(person.history.followed_by(done_since), History.empty())
    gone, gone_since = _taken_back(person.history, later, as_of)
    return WholeHistory(
        person.history.where(~gone).followed_by(done_since.where(~gone_since & ~is_return)),
        person.history.where(gone).followed_by(done_since.where(gone_since)),
    )


def _taken_back(history: History, since: RecentEvents, as_of: int) -> tuple[Flags, Flags]:
    """Which purchases of a history, and of what was done since, are taken back by the returns among the latter.

    as_of: epoch seconds; the history tells already what was taken back before.
    """
    gone, gone_since = np.zeros(len(history), bool), np.zeros(len(since), bool)
    purchases, returns = _taken_back_among(since)
    gone_since[purchases] = True
    is_left = since.event_types == _RETURN
    is_left[returns] = False
    returns_of_before = since.where(is_left & (since.event_ts >= as_of))
    purchases, _ = _taken_back_among(RecentEvents.of(history).followed_by(returns_of_before))
    gone[purchases] = True
    return gone, gone_since


def _taken_back_among(events: RecentEvents) -> tuple[Columns, Columns]:
    """The positions of the purchases that returns among these events take back, and of those returns."""
    at = np.flatnonzero((events.event_types == _PURCHASE) | (events.event_types == _RETURN))
    returned_at = taken_back_by(events.item_idx[at], events.event_us[at], events.event_types[at] == _RETURN)
    return at[returned_at >= 0], at[returned_at[returned_at >= 0]]


@dataclass(frozen=True)
class _Moment:
    """One person at one moment.

    history: as it was published. left: what of it has not been taken back. since: what they did since their row was
    published and have not taken back, oldest first, not after now.
    """

    now_us: int
    as_of: int
    is_of_row: bool
    history: History
    left: History
    since: RecentEvents

    @classmethod
    def of(cls, now: datetime, person: Person) -> _Moment:
        now_us = epoch_microseconds(now)
        as_of = int(person.features.written[0])
        # Without a row there is nothing that could grow old.
        is_of_row = not as_of or now_us // MICROSECONDS_PER_SECOND <= as_of
        history, since = person.history, _events_since_row(as_of, person)
        is_return = since.event_types == _RETURN
        if not is_return.any():
            return cls(now_us, as_of, is_of_row, history, history, since)
        happened = replace(since, event_us=np.minimum(since.event_us, now_us - 1))
        gone, gone_since = _taken_back(history, happened, as_of)
        return cls(now_us, as_of, is_of_row, history, history.where(~gone), since.where(~gone_since & ~is_return))

    @property
    def has_event_types(self) -> bool:
        """Whether it is known of what type each event is."""
        return not (self.history.event_types == UNSPECIFIED_TYPE).any()

    def of_types(self, codes: tuple[int, ...]) -> _Moment:
        """The same with the events of these types alone; all where none is named."""
        if not codes:
            return self
        history, left, since = self.history, self.left, self.since
        return replace(
            self,
            history=history.where(_is_of(history, codes)),
            left=left.where(_is_of(left, codes)),
            since=since.where(_is_of(since, codes)),
        )

    @property
    def as_of_us(self) -> int:
        return self.as_of * MICROSECONDS_PER_SECOND

    def days_since(self, at: int) -> float:
        """Days since an event of those that are left of the history; NaN where none is."""
        if not len(self.left):
            return float("nan")
        return (self.now_us - self._event_us(self.left, at)) / MICROSECONDS_PER_DAY

    def days_to_row(self, at: int) -> float:
        """Days from an event of the history to as_of."""
        return (self.as_of_us - self._event_us(self.history, at)) / MICROSECONDS_PER_DAY

    def _event_us(self, history: History, at: int) -> int:
        return min(int(history.event_ts[at]) * MICROSECONDS_PER_SECOND, self.as_of_us - 1)


def _events_since_row(as_of: int, person: Person) -> RecentEvents:
    """The recent events that the row does not tell, oldest first."""
    recent = person.recent
    if not len(recent):
        return recent
    new = recent.where(recent.event_ts >= as_of)
    new = new.where(~_in_history(new, person.history))
    return new.where(np.argsort(new.event_us, kind="stable"))


def _is_of(events: RecentEvents | History, codes: tuple[int, ...]) -> Flags:
    return np.isin(events.event_types, codes)


def _in_history(events: RecentEvents, history: History) -> Flags:
    """Whether each event is in the history: the same item and type in the same second; an unspecified type is any."""
    seconds = events.event_ts
    if not len(history) or seconds.min(initial=np.iinfo(np.int64).max) > history.event_ts[-1]:
        return np.zeros(len(events), bool)
    first = np.searchsorted(history.event_ts, seconds.min())
    lately = history.where(slice(int(first), None))
    in_history = set(zip(lately.event_ts.tolist(), lately.item_idx.tolist(), lately.event_types.tolist(), strict=True))
    of_any_type = {event[:2] for event in in_history}
    new = zip(seconds.tolist(), events.item_idx.tolist(), events.event_types.tolist(), strict=True)
    return np.array(
        [
            event[:2] in of_any_type
            if event[2] == UNSPECIFIED_TYPE
            else event in in_history or (*event[:2], UNSPECIFIED_TYPE) in in_history
            for event in new
        ],
        bool,
    )


@dataclass(frozen=True)
class _LiveColumns:
    """The columns of those live features of a schema that aggregate events of the same types.

    codes: of the types, none for all; counts, reaches_us: column and reach of each count; last, first: columns of the
    days since either; defaults: of all columns of the schema.
    """

    codes: tuple[int, ...]
    counts: Columns
    reaches_us: npt.NDArray[np.int64]
    last: Columns
    first: Columns
    defaults: Cells

    def write(self, moment: _Moment, values: Cells, missing: Flags) -> None:
        """Put the values as of now into a row, and note that they are there."""
        if self.codes and not moment.has_event_types:
            return
        moment = moment.of_types(self.codes)
        events_us = moment.since.event_us
        self._count(moment, events_us, values, missing)
        if len(events_us):
            values[self.last] = max(moment.now_us - int(events_us[-1]), 1) / MICROSECONDS_PER_DAY
            missing[self.last] = False
        elif not moment.is_of_row:
            self._grow_days(moment, self.last, -1, values, missing)
        if not moment.is_of_row:
            self._grow_days(moment, self.first, 0, values, missing)
        if len(events_us):
            unheard_of = self.first[missing[self.first]]
            values[unheard_of] = max(moment.now_us - int(events_us[0]), 1) / MICROSECONDS_PER_DAY
            missing[unheard_of] = False

    def _count(self, moment: _Moment, events_us: npt.NDArray[np.int64], values: Cells, missing: Flags) -> None:
        begins_us = moment.now_us - self.reaches_us
        entered = len(events_us) - np.searchsorted(events_us, begins_us)
        # A count past its TTL is missing; its window, no longer than that, begins after as_of, so that none is left.
        stayed = np.where(missing[self.counts], 0, values[self.counts])
        if not moment.is_of_row:
            stayed = np.where(begins_us < moment.as_of_us, stayed - self._n_left(moment, begins_us), 0)
        changed = ~missing[self.counts] | (entered > 0)
        values[self.counts] = np.where(changed, np.maximum(stayed, 0) + entered, values[self.counts])
        missing[self.counts] = ~changed

    def _n_left(self, moment: _Moment, begins_us: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """How many events of the history were in each window at as_of, and are no more."""
        began_us = moment.as_of_us - self.reaches_us
        return _n_within(moment.history, began_us) - _n_within(moment.left, begins_us)

    def _grow_days(self, moment: _Moment, columns: Columns, at: int, values: Cells, missing: Flags) -> None:
        """Let days since an event grow. at: where the event stands in the history, if it is the one that was meant."""
        for column in columns[~missing[columns]].tolist():
            aged = float(values[column]) + (moment.now_us - moment.as_of_us) / MICROSECONDS_PER_DAY
            if len(moment.history) and is_same_event(values[column], np.float32(moment.days_to_row(at))):
                aged = moment.days_since(at)
            missing[column] = np.isnan(aged)
            values[column] = self.defaults[column] if missing[column] else aged


def _n_within(history: History, begin_us: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many events are at each of these moments or later."""
    return len(history) - np.searchsorted(history.event_ts, _whole_seconds(begin_us))


def _whole_seconds(moments_us: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The first whole second at or after each moment."""
    return -(-moments_us // MICROSECONDS_PER_SECOND)


def is_same_event(published_days: Any, history_days: Any) -> Any:
    """Whether the days since an event that a row tells may be those since one of the history, number by number.

    Either side lost parts of a second, and a 32-bit number some more.
    """
    return np.abs(published_days - history_days) < SECOND_DAYS + np.spacing(np.abs(published_days))


@lru_cache(maxsize=64)  # a server holds a few releases
def _live_columns(schema: FeatureSchema) -> tuple[_LiveColumns, ...]:
    """One for each set of types that live features of the schema are of."""
    here = [feature for feature in LIVE_FEATURES if feature.name in schema.columns]
    return tuple(
        _live_columns_of_types(
            schema, event_types, [feature for feature in here if feature.aggregation.event_types == event_types]
        )
        for event_types in dict.fromkeys(feature.aggregation.event_types for feature in here)
    )


def _live_columns_of_types(schema: FeatureSchema, event_types: EventTypes, features: list[LiveFeature]) -> _LiveColumns:
    def columns(function: AggregateFunction) -> Columns:
        return _column_positions(schema, [feature for feature in features if feature.aggregation.function is function])

    counts = [feature for feature in features if feature.aggregation.function is AggregateFunction.COUNT]
    return _LiveColumns(
        codes=tuple(EVENT_CODES[event_type] for event_type in event_types),
        counts=columns(AggregateFunction.COUNT),
        reaches_us=np.array([_reach_us(schema, feature) for feature in counts], np.int64),
        last=columns(AggregateFunction.DAYS_SINCE_LAST),
        first=columns(AggregateFunction.DAYS_SINCE_FIRST),
        defaults=schema.defaults,
    )


def _column_positions(schema: FeatureSchema, features: list[LiveFeature]) -> Columns:
    return np.array([schema.columns[feature.name] for feature in features], np.intp)


def _reach_us(schema: FeatureSchema, feature: LiveFeature) -> int:
    """How far back events count: over the window, and never past the TTL."""
    ttl = timedelta(days=schema.features[schema.columns[feature.name]].ttl_days)
    return (ttl if feature.window is None else min(feature.window, ttl)) // MICROSECOND
