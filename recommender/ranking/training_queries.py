"""Who is asked about at a snapshot to train the ranker, what was known of them then, and what they then touched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from contracts.features import History, OlderEvents
from contracts.fingerprint import fingerprint_json
from contracts.ids import ItemIdxArray
from recommender.exclusion import FOR_EVER, ExclusionRule
from recommender.interactions import Interactions
from recommender.query import RetrievalQuery

# In training and in evaluation somebody new is asked about after these many events of the window, as a visitor after
# two clicks.
SESSION_EVENTS = 2

Segments = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class SampledPeople:
    """Who is asked about at a snapshot. user_idx: ascending; weight: how many people each of them stands for."""

    user_idx: npt.NDArray[np.int32]
    weight: float


@dataclass(frozen=True)
class TrainingQuery:
    """One person at a snapshot. positives: the items they then touched and could be shown, in the order of the index.

    user_id: None of a guest, who gives no name. is_new: no row of theirs is published when they come.
    """

    user_id: str | None
    query: RetrievalQuery
    positives: ItemIdxArray
    is_new: bool


def sample_people(
    interactions: Interactions, moment: datetime, end: datetime, max_people: int | None = None
) -> SampledPeople:
    """Everybody with something to be asked about in the window; of more than max_people, as many drawn by lot.

    The lot is drawn by the person and the snapshot alone: whoever else comes, the same people come first.
    """
    start, stop = _whole_seconds(moment), _whole_seconds(end)
    n_people, who = len(interactions.user_ids), interactions.user_idx
    n_before = np.bincount(who[interactions.event_ts < start], minlength=n_people)
    in_window = (interactions.event_ts >= start) & (interactions.event_ts < stop)
    n_in_window = np.bincount(who[in_window], minlength=n_people)
    people = np.flatnonzero(n_in_window > np.where(n_before, 0, SESSION_EVENTS)).astype(np.int32)
    if max_people is None or len(people) <= max_people:
        return SampledPeople(people, 1.0)
    lots = [int(fingerprint_json([interactions.user_ids[user], start, "is asked"]), 16) for user in people.tolist()]
    drawn = np.argsort(np.array(lots, np.uint64), kind="stable")[:max_people]
    return SampledPeople(np.sort(people[drawn]), len(people) / max_people)


def training_queries(
    interactions: Interactions,
    moment: datetime,
    end: datetime,
    history_length: int,
    segments: Segments,
    excluding: ExclusionRule = FOR_EVER,
    people: SampledPeople | None = None,
) -> Iterator[TrainingQuery]:
    """A query for each of the people with positives in the window, in the order of user_id. people: None for everybody.

    People with history are asked about at the snapshot itself; people without, after their first events in the window,
    which are then all that is known of them. Half of the newcomers, others at every snapshot, are signed in, so that
    their row is brought up to the moment; and half, whether signed in or not, also tell their segment: requests come
    with and without either, and the ranker has to know all four. Others tell no segment: the data knows the
    circumstances of first visits alone, and not those in which somebody would have asked later.
    """
    start, stop = _whole_seconds(moment), _whole_seconds(end)
    for user_idx in (people or sample_people(interactions, moment, end)).user_idx.tolist():
        person = _PersonAtSnapshot.of(interactions, user_idx, start, stop)
        # As in serving, however short the history is that is read there, and whatever was taken back.
        excluded = excluding.items(person.before, OlderEvents.empty(), person.now)
        positives = np.setdiff1d(person.window.item_idx, excluded)
        if len(positives) and len(person.before):
            user_id, is_new = interactions.user_ids[user_idx], person.is_new
            segment = segments.get(user_id, {}) if is_new and _coin_is_heads(user_id, start, "tells") else {}
            query = RetrievalQuery(person.now, _latest(person.known, history_length), dict(segment), excluded=excluded)
            is_guest = is_new and not _coin_is_heads(user_id, start, "signs in")
            yield TrainingQuery(None if is_guest else user_id, query, positives, is_new)


@dataclass(frozen=True)
class _PersonAtSnapshot:
    """What somebody had done when they are asked about, and what they then did in the window.

    now: epoch seconds; before: everything until then; known: of it, what was not taken back by then.
    """

    now: int
    is_new: bool
    before: History
    known: History
    window: History

    @classmethod
    def of(cls, interactions: Interactions, user_idx: int, start: int, stop: int) -> _PersonAtSnapshot:
        before = interactions.history(user_idx, 0, start)
        window = interactions.history(user_idx, start, stop)
        now, is_new = start, not len(before)
        if is_new:
            before, window = _first_events(window)
            now = int(before.event_ts[-1]) + 1 if len(before) else start
        standing = interactions.standing(user_idx, start if is_new else 0, stop if is_new else start, now)
        return cls(now, is_new, before, before.where(standing[: len(before)]), window)


def _whole_seconds(moment: datetime) -> int:
    return int(np.ceil(moment.timestamp()))


def _coin_is_heads(user_id: str, start: int, whether: str) -> bool:
    """A coin tossed by the person, the snapshot and the question alone: nobody else's coming changes how it falls."""
    return int(fingerprint_json([user_id, start, whether])[-1], 16) % 2 == 0


def _first_events(window: History) -> tuple[History, History]:
    first = slice(None, SESSION_EVENTS)
    rest = slice(SESSION_EVENTS, None)
    return window.where(first), window.where(rest)


def _latest(history: History, length: int) -> History:
    return history.where(slice(max(len(history) - length, 0), None))
