"""Aggregates over the events of the days before a moment, for any number of moments and windows at once, exactly.

The events of each entity lie in order of time, with running totals beside them. An aggregate over a window is then the
difference of two totals, found by two binary searches for each moment, however many events lie in the window; a join
would meet every one of them. Nothing depends on the order of events of the same microsecond: counts, sums, the first
and the last moment are the same in any order.

Sums are of integers, so that the running total up to a moment, minus another, is bit for bit the sum between them.

An event that was taken back counts until then. A window lacks it from that time on, until it would have left the window
anyway; so what a window lacks is again a difference of two running totals: over the events that were ever taken back,
by the time at which each was, less the same by the later of that time and the time at which it leaves the window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from contracts.calendar import MICROSECONDS_PER_DAY
from contracts.errors import SourceError
from contracts.returns import NEVER_TAKEN_BACK
from feature_store.definitions.views import AggregateFunction

Codes = npt.NDArray[np.int32]
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int32 | np.int64]

# Events and moments searched together: a few megabytes, which stay in the processor's cache.
CHUNK_ROWS = 200_000
# An entity's number and a time make one 64-bit key; of more entities than fit, fewer are searched together.
LARGEST_KEY = 2**62
LARGEST_TOTAL = 2**63


@dataclass(frozen=True)
class Spans:
    """What lies in a window before each moment: from start to end, positions in the order of the runs.

    as_of_us: the moments, aligned. lacking: which of it was taken back by then; None where nothing ever was.
    """

    start: Positions
    end: Positions
    as_of_us: Integers
    lacking: Lacking | None = None

    def part(self, rows: slice) -> Spans:
        """The spans of some of the moments."""
        lacking = None if self.lacking is None else self.lacking.part(rows)
        return Spans(self.start[rows], self.end[rows], self.as_of_us[rows], lacking)


@dataclass(frozen=True)
class Lacking:
    """What a window lacks at each moment: what was taken back before it, less what has left the window as well.

    back, gone: the events that were ever taken back, by the time of the one, and by that of the other; entities have as
    many in both. n_back, n_gone: for each moment the position in either.
    """

    back: EventRuns
    gone: EventRuns
    n_back: Positions
    n_gone: Positions

    def part(self, rows: slice) -> Lacking:
        """What is lacking at some of the moments."""
        return Lacking(self.back, self.gone, self.n_back[rows], self.n_gone[rows])


class Moments:
    """Which entities are asked about, and as of when, in the order in which the runs are searched.

    codes: (n,) entities, 0 to n_entities - 1; as_of_us: (n,) microseconds since the epoch. order: (n,) the position of
    each of them in what was given.
    """

    def __init__(self, codes: Codes, as_of_us: Integers, n_entities: int) -> None:
        self.order = _by_entity_and_time(codes, as_of_us)
        self.as_of_us = as_of_us[self.order]
        self.offsets = _offsets(codes, n_entities)


class EventRuns:
    """The events of every entity, oldest first, and running totals over them.

    codes: (n_events,) the entity of each; event_us: (n_events,) microseconds since the epoch; values: (n_events,)
    integers; valued: (n_events,) whether an event has a value; taken_back_us: (n_events,) when it was taken back, not
    before event_us, NEVER_TAKEN_BACK where it never was, None where nothing was. In any order; the arrays given are not
    changed.
    """

    def __init__(
        self,
        codes: Codes,
        event_us: Integers,
        values: Integers,
        valued: npt.NDArray[np.bool_],
        n_entities: int,
        taken_back_us: Integers | None = None,
    ) -> None:
        order = _by_entity_and_time(codes, event_us)
        self.event_us = event_us[order]
        self.offsets = _offsets(codes, n_entities)
        self._values, self._valued = values[order], valued[order]
        self._taken_back = None if taken_back_us is None else _TakenBack.of(self, taken_back_us[order])

    def spans(self, moments: Moments, reach_us: int) -> Spans:
        """Where `as_of - reach <= event_us < as_of` for each moment, in the order of `moments`."""
        end, start = self.positions(moments, (0, reach_us))
        lacking = None if self._taken_back is None else self._taken_back.lacking(moments, reach_us)
        return Spans(start, end, moments.as_of_us, lacking)

    def positions(self, moments: Moments, reaches_us: Sequence[int]) -> list[Positions]:
        """For each reach and moment the position of the entity's first event that is not before `as_of - reach`."""
        n_events, n_moments = len(self.event_us), len(moments.as_of_us)
        found: list[Positions] = [np.empty(n_moments, _position_type(n_events)) for _ in reaches_us]
        for chunk in self._chunks(moments):
            for positions, reach_us in zip(found, reaches_us, strict=True):
                positions[chunk.rows] = chunk.search(chunk.as_of_us - reach_us)
        return found

    def at(self, chosen: Positions, moments_us: Integers) -> EventRuns:
        """Some of the events, as if each had been at another moment; chosen: their positions."""
        codes = (np.searchsorted(self.offsets, chosen, side="right") - 1).astype(np.int32)
        return EventRuns(codes, moments_us, self._values[chosen], self._valued[chosen], len(self.offsets) - 1)

    def aggregate(self, function: AggregateFunction, spans: Spans) -> Floats:
        """The function of the events in each span; NaN where it has no value."""
        with np.errstate(invalid="ignore", divide="ignore"):
            match function:
                case AggregateFunction.COUNT:
                    return self._count(spans).astype(np.float64)
                case AggregateFunction.MEAN_VALUE:
                    n_valued = self._sum(spans, lambda runs: runs.n_valued)
                    total = self._sum(spans, lambda runs: runs.totals)
                    return total.astype(np.float64) / np.where(n_valued, n_valued, np.nan) / 1000
                case AggregateFunction.DAYS_SINCE_LAST:
                    return self._days_since(spans, spans.end - 1, step=-1)
                case AggregateFunction.DAYS_SINCE_FIRST:
                    return self._days_since(spans, spans.start, step=1)

    def _count(self, spans: Spans) -> Positions:
        count, lacking = spans.end - spans.start, spans.lacking
        return count if lacking is None else count - (lacking.n_back - lacking.n_gone)

    def _sum(self, spans: Spans, totals_of: Callable[[EventRuns], Integers | Codes]) -> Integers | Codes:
        """What running totals say of each span."""
        totals, lacking = totals_of(self), spans.lacking
        total = totals[spans.end] - totals[spans.start]
        if lacking is None:
            return total
        return total - (totals_of(lacking.back)[lacking.n_back] - totals_of(lacking.gone)[lacking.n_gone])

    def _days_since(self, spans: Spans, positions: Positions, step: int) -> Floats:
        """Days since the event at each position, or, where that was taken back, since the next one by this step."""
        if self._taken_back is not None:
            positions = self._taken_back.nearest_standing(spans, positions, step)
        days = np.full(len(positions), np.nan)
        there = _inside(spans, positions)
        days[there] = (spans.as_of_us[there] - self.event_us[positions[there]]) / MICROSECONDS_PER_DAY
        return days

    @cached_property
    def totals(self) -> Integers:
        """(n_events + 1,) the sum of the values of the first 0, 1, ... n events; raises SourceError past 64 bits."""
        values = np.where(self._valued, self._values, 0)
        _check_adds_up(values)
        totals: Integers = _running_totals(values, np.int64)
        return totals

    @cached_property
    def n_valued(self) -> Codes:
        """(n_events + 1,) how many of the first 0, 1, ... n events have a value."""
        n_valued: Codes = _running_totals(self._valued, np.int32)
        return n_valued

    def _chunks(self, moments: Moments) -> Iterator[_Chunk]:
        """The events and moments of entities that follow each other, no entity in two chunks."""
        if not len(moments.as_of_us):
            return
        earliest, latest = _min_and_max(self.event_us)
        spread = latest - earliest + 2
        rows = self.offsets + moments.offsets
        most_entities = max(LARGEST_KEY // spread, 1)
        for first, last in _entity_ranges(rows, most_entities):
            if moments.offsets[last] > moments.offsets[first]:
                yield _Chunk(self, moments, first, last, earliest, spread)


class _TakenBack:
    """The events of runs that were ever taken back.

    taken_back_us: (n_events,) when each event of the runs was, NEVER_TAKEN_BACK where it never was; positions:
    where it was.
    """

    def __init__(self, runs: EventRuns, taken_back_us: Integers, positions: Positions) -> None:
        self._runs = runs
        self._taken_back_us = taken_back_us
        self._positions = positions
        self._back = runs.at(positions, taken_back_us[positions])
        self._skips: dict[int, Positions] = {}

    @classmethod
    def of(cls, runs: EventRuns, taken_back_us: Integers) -> _TakenBack | None:
        """None where nothing was taken back."""
        positions = np.flatnonzero(taken_back_us < NEVER_TAKEN_BACK)
        return cls(runs, taken_back_us, positions) if len(positions) else None

    def lacking(self, moments: Moments, reach_us: int) -> Lacking:
        """What windows of this reach lack at each moment."""
        leaves_us = self._runs.event_us[self._positions] + reach_us
        gone = self._runs.at(self._positions, np.maximum(self._taken_back_us[self._positions], leaves_us))
        [n_back], [n_gone] = self._back.positions(moments, (0,)), gone.positions(moments, (0,))
        return Lacking(self._back, gone, n_back, n_gone)

    def nearest_standing(self, spans: Spans, positions: Positions, step: int) -> Positions:
        """From each position by this step the first event of its span that stands at its moment; else one outside."""
        positions = positions.astype(np.int64)
        skips, moving = self._skips_of(step), np.arange(len(positions))
        while len(moving):
            moving = moving[_inside(spans, positions, moving)]
            moving = moving[self._taken_back_us[positions[moving]] < spans.as_of_us[moving]]
            positions[moving] = skips[positions[moving]]
        return positions

    def _skips_of(self, step: int) -> Positions:
        """For each event that was taken back the first one by this step that stood longer, perhaps of another entity.

        What lies between was taken back no later. So a search jumps over it, and goes on only where that one was taken
        back as well.
        """
        if step not in self._skips:
            n_events = len(self._taken_back_us)
            # A place before the first and after the last event, where every search ends.
            stood_until = np.pad(self._taken_back_us, 1, constant_values=NEVER_TAKEN_BACK)
            skips, chosen = np.arange(n_events + 2) + step, self._positions + 1
            while len(chosen):
                chosen = chosen[stood_until[skips[chosen]] <= stood_until[chosen]]
                skips[chosen] = skips[skips[chosen]]
            self._skips[step] = skips[1:-1] - 1
        return self._skips[step]


class _Chunk:
    """Some entities' events under keys that rise from one entity to the next, and the moments that ask about them."""

    def __init__(self, runs: EventRuns, moments: Moments, first: int, last: int, earliest: int, spread: int) -> None:
        self._begin = int(runs.offsets[first])
        self._earliest, self._latest = earliest, earliest + spread - 1
        self._keys = (
            runs.event_us[self._begin : runs.offsets[last]] - earliest + _key_offsets(runs.offsets, first, last, spread)
        )
        self.rows = slice(int(moments.offsets[first]), int(moments.offsets[last]))
        self.as_of_us = moments.as_of_us[self.rows]
        self._key_offsets = _key_offsets(moments.offsets, first, last, spread)

    def search(self, moments_us: Integers) -> Positions:
        """For each moment the position of its entity's first event that is not before it."""
        # Before all events is as good as at the first; after all, as just after the last.
        within = np.clip(moments_us, self._earliest, self._latest) - self._earliest
        return np.searchsorted(self._keys, within + self._key_offsets) + self._begin


def _inside(spans: Spans, positions: Positions, rows: Positions | slice = slice(None)) -> npt.NDArray[np.bool_]:
    """Whether each position lies in its span; rows: which of them."""
    inside: npt.NDArray[np.bool_] = (spans.start[rows] <= positions[rows]) & (positions[rows] < spans.end[rows])
    return inside


def _by_entity_and_time(codes: Codes, moments_us: Integers) -> Positions:
    if (moments_us[1:] >= moments_us[:-1]).all():
        # What comes in order of time, as the canonical tables do, needs one stable sort by entity alone.
        order = np.argsort(codes, kind="stable")
    else:
        order = np.lexsort((moments_us, codes))
    positions: Positions = order.astype(_position_type(len(order)))
    return positions


def _position_type(n_rows: int) -> type[np.int32 | np.int64]:
    """The smaller integer type that holds a position among so many: a table has two or three of them per row."""
    return np.int32 if n_rows < 2**31 else np.int64


def _offsets(codes: Codes, n_entities: int) -> Integers:
    """(n_entities + 1,) where each entity's rows begin, once they are sorted."""
    offsets: Integers = np.zeros(n_entities + 1, dtype=np.int64)
    np.cumsum(np.bincount(codes, minlength=n_entities), out=offsets[1:])
    return offsets


def _key_offsets(offsets: Integers, first: int, last: int, spread: int) -> Integers:
    """For each row of these entities how far its entity's keys are moved."""
    n_rows = np.diff(offsets[first : last + 1])
    return np.repeat(np.arange(last - first, dtype=np.int64) * spread, n_rows)


def _entity_ranges(rows: Integers, most_entities: int) -> Iterator[tuple[int, int]]:
    """Ranges of entities with about CHUNK_ROWS rows each, one at least, and at most so many entities."""
    n_entities, first = len(rows) - 1, 0
    while first < n_entities:
        enough = int(np.searchsorted(rows, rows[first] + CHUNK_ROWS))
        last = min(max(enough, first + 1), first + most_entities, n_entities)
        yield first, last
        first = last


def _min_and_max(event_us: Integers) -> tuple[int, int]:
    return (int(event_us.min()), int(event_us.max())) if len(event_us) else (0, 0)


def _check_adds_up(values: Integers) -> None:
    least, most = _min_and_max(values)
    if max(-least, most) * len(values) < LARGEST_TOTAL:
        return
    total = float(np.abs(values).sum(dtype=np.float64))
    if total >= LARGEST_TOTAL:
        raise SourceError(
            f"The values of {len(values):,} events add up to {total / 1000:.3g}; what 64 bits hold in thousandths is "
            f"{LARGEST_TOTAL / 1000:.3g}.",
            "Give `value` in a larger unit, such as thousands, or look for events whose values are too large.",
        )


def _running_totals(numbers: npt.NDArray[Any], kind: type[np.signedinteger[Any]]) -> npt.NDArray[Any]:
    """(n + 1,) the totals of the first 0, 1, ... n numbers."""
    totals = np.zeros(len(numbers) + 1, dtype=kind)
    np.cumsum(numbers, out=totals[1:])
    return totals
