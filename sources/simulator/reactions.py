"""How people react: the true click model, what they look for themselves, and what follows from it.

    P(click at position p) = examination(p) * attractiveness(person, item, circumstances)

Clicks are independent given the state at the beginning of the day, so that the expected clicks of a slate are a sum.
Source: the position-based model, as in Chuklin, Markov and de Rijke, Click Models for Web Search, 2015, ch. 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import expit

from contracts.calendar import MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND
from contracts.events import EventType
from sources.simulator.items import Items, Shelf, times_of
from sources.simulator.journeys import Visits
from sources.simulator.people import OPENED_KEPT, People, PeopleState
from sources.simulator.policies import EMPTY, Requests, Slates
from sources.simulator.topics import Floats
from sources.simulator.words import N_TOPICS
from sources.simulator.world_spec import Nature, WorldKind

SHOWN_KEPT = 0.7  # of what was shown, how much still counts a day later
SHOWN_SCALE = 20.0  # impressions of a topic after which its fatigue is at 1 - 1/e
SECONDS_PER_POSITION = 3.0
SECONDS_TO_CART = 25.0
SECONDS_TO_PAY = 90.0
MOST_READ_SECONDS = 1_800.0
READ_SPREAD = 0.8

_TYPES: Sequence[EventType] = (
    EventType.CLICK,
    EventType.VIEW,
    EventType.ADD_TO_CART,
    EventType.PURCHASE,
    EventType.SHARE,
)
Numbers = npt.NDArray[np.int64]


def examination(nature: Nature, k: int) -> npt.NDArray[np.float64]:
    """(k,) the chance that an item is looked at, by position from the first."""
    return np.arange(1, k + 1, dtype=np.float64) ** -nature.examination_power


def attractiveness(requests: Requests, state: PeopleState, numbers: npt.NDArray[np.int32]) -> Floats:
    """(n_requests, k) the chance that an item is opened once it was looked at; 0 in an empty place."""
    shelf, people = requests.shelf, requests.visits.people
    items, nature = shelf.items, shelf.items.spec.nature
    person, stands = requests.person[:, None], numbers != EMPTY
    known = np.where(stands, numbers, 0)
    topic, visit = items.topic[known], requests.pages.visit
    logit = nature.base_logit + nature.taste_weight * liking(items, state.taste, person, known)
    logit += nature.quality_weight * items.quality[known]
    logit += _circumstances(requests.visits, shelf)[visit[:, None], topic]
    logit += shelf.topics.season(shelf.day)[topic]
    logit += nature.novelty_weight * shelf.novelty[known]
    logit -= nature.thrift_weight * items.priciness[known] * people.thrift[person]
    logit -= nature.fatigue_weight * -np.expm1(-state.shown[person, topic] / SHOWN_SCALE)
    logit -= nature.opened_weight * _was_opened(state, requests.person, numbers)
    return np.where(stands, expit(logit), 0).astype(np.float32)


def click_probabilities(requests: Requests, state: PeopleState, slates: Slates) -> npt.NDArray[np.float64]:
    """(n_requests, k) the chance of a click on each item where it stands."""
    shown = examination(requests.shelf.items.spec.nature, slates.item_numbers.shape[1])
    return shown * attractiveness(requests, state, slates.item_numbers)


def liking(items: Items, taste: Floats, person: Numbers, numbers: npt.NDArray[np.integer]) -> Floats:
    """How much the items are of what people like: 0 to 1; `person` and `numbers` broadcast against each other."""
    first = items.weight[numbers]
    liked = first * np.sqrt(taste[person, items.topic[numbers]])
    return np.asarray(liked + (1 - first) * np.sqrt(taste[person, items.second[numbers]]), np.float32)


@dataclass(frozen=True)
class SimulatedEvents:
    """What happened, one row each: position of the person in the block, item number, type (position in the list of
    types), time, value (NaN where there is none), row of the visit and of the request (-1 where there is none)."""

    person: Numbers
    item: Numbers
    kind: npt.NDArray[np.int8]
    ts_us: Numbers
    value: npt.NDArray[np.float64]
    visit: Numbers
    request: Numbers

    def __len__(self) -> int:
        return len(self.person)

    @classmethod
    def concat(cls, parts: Sequence[SimulatedEvents]) -> SimulatedEvents:
        names = ("person", "item", "kind", "ts_us", "value", "visit", "request")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def followed(
        self, chosen: npt.NDArray[np.bool_], kind: EventType, seconds: npt.NDArray[np.float64]
    ) -> SimulatedEvents:
        """What followed from the chosen ones of these events, `seconds` (one per chosen one) later."""
        n = len(seconds)
        return SimulatedEvents(
            self.person[chosen],
            self.item[chosen],
            np.full(n, _TYPES.index(kind), np.int8),
            self.ts_us[chosen] + (seconds * MICROSECONDS_PER_SECOND).astype(np.int64),
            np.full(n, np.nan),
            self.visit[chosen],
            self.request[chosen],
        )


def draw_clicks(
    requests: Requests, slates: Slates, chances: npt.NDArray[np.float64], rng: np.random.Generator
) -> SimulatedEvents:
    """The clicks on the slates; chances: as `click_probabilities` says."""
    row, place = np.nonzero(rng.random(chances.shape) < chances)
    seconds = SECONDS_PER_POSITION * place + rng.exponential(4.0, len(row)) + 0.5
    return SimulatedEvents(
        requests.person[row],
        slates.item_numbers[row, place].astype(np.int64),
        np.full(len(row), _TYPES.index(EventType.CLICK), np.int8),
        requests.pages.ts_us[row] + (seconds * MICROSECONDS_PER_SECOND).astype(np.int64),
        np.full(len(row), np.nan),
        requests.pages.visit[row],
        row,
    )


def draw_views(visits: Visits, shelf: Shelf, state: PeopleState, rng: np.random.Generator) -> SimulatedEvents:
    """What people look for and open themselves: a topic by taste and circumstances, then an item of it by weight."""
    nature = shelf.items.spec.nature
    # A gamma mixture of Poisson draws: most visits are short, some are very long.
    eagerness = rng.gamma(nature.views_shape, 1 / nature.views_shape, len(visits))
    visit = np.repeat(np.arange(len(visits)), rng.poisson(np.array(nature.views)[visits.entry_page] * eagerness))
    person = visits.person[visit]
    topic = _topics_drawn(state.taste[person] * np.exp(_circumstances(visits, shelf))[visit], rng)
    item = shelf.draw_of_topics(topic, rng)
    seconds = rng.exponential(120.0, len(visit)) % 1_700 + 1
    return SimulatedEvents(
        person,
        item.astype(np.int64),
        np.full(len(visit), _TYPES.index(EventType.VIEW), np.int8),
        visits.start_us[visit] + (seconds * MICROSECONDS_PER_SECOND).astype(np.int64),
        np.full(len(visit), np.nan),
        visit,
        np.full(len(visit), -1, np.int64),
    )


def recommend_to_friends(people: People, shelf: Shelf, state: PeopleState, rng: np.random.Generator) -> SimulatedEvents:
    """The shares with which people brought today's newcomers, shortly before these joined; outside any visit."""
    new = np.flatnonzero((people.joined_day == shelf.day) & (people.referrer >= 0))
    person = people.referrer[new].astype(np.int64)
    item = shelf.draw_of_topics(_topics_drawn(state.taste[person], rng), rng)
    # Within the day: it may have begun only just now.
    since_midnight = people.joined_us[new] % MICROSECONDS_PER_DAY
    ts_us = people.joined_us[new] - (rng.random(len(new)) * since_midnight * 0.5).astype(np.int64)
    nowhere = np.full(len(new), -1, np.int64)
    kind = np.full(len(new), _TYPES.index(EventType.SHARE), np.int8)
    return SimulatedEvents(person, item.astype(np.int64), kind, ts_us, np.full(len(new), np.nan), nowhere, nowhere)


def follow_up(
    opened: SimulatedEvents, items: Items, people: People, state: PeopleState, rng: np.random.Generator
) -> SimulatedEvents:
    """The opened items with their values, and what came of them: carts and purchases in a shop, and what is shared."""
    liked = liking(items, state.taste, opened.person, opened.item).astype(np.float64)
    shares = _share_events(opened, liked, items.spec.nature, rng)
    if items.spec.kind is WorldKind.ARTICLES:
        return SimulatedEvents.concat([_with_reading_time(opened, liked, items.spec.nature, rng), shares])
    carts = _cart_events(opened, liked, items, people, rng)
    return SimulatedEvents.concat([opened, carts, _purchases(carts, items, rng), shares])


def update_state(state: PeopleState, requests: Requests, slates: Slates, opened: SimulatedEvents, items: Items) -> None:
    """Carry the state over to the next day: tastes drift to opened items, shown topics tire, visits are noted."""
    _move_tastes(state, opened, items)
    state.shown *= SHOWN_KEPT
    row, place = np.nonzero(slates.item_numbers != EMPTY)
    topic = items.topic[slates.item_numbers[row, place]]
    _add_at(state.shown, requests.person[row], topic, np.ones(len(row)))
    _note_opened(state, opened)
    state.last_visit[requests.visits.person] = requests.day


def table_of(events: SimulatedEvents, requests: Requests, request_ids: pl.Series) -> pl.DataFrame:
    """The columns of the canonical `interactions` table and the visit's circumstances, in canonical order."""
    visits, people, items = requests.visits, requests.visits.people, requests.shelf.items
    columns = {
        "user_id": people.ids.gather(pl.Series(events.person)),
        "item_id": items.ids.gather(pl.Series(events.item)),
        "event_type": pl.Series([str(kind) for kind in _TYPES]).gather(pl.Series(events.kind.astype(np.int64))),
        "event_ts": times_of(events.ts_us),
        "value": pl.Series(events.value).fill_nan(None),
        "session_id": _gathered(visits.ids(), events.visit),
        "request_id": _gathered(request_ids, events.request),
    }
    contexts = {name: _gathered(column, events.visit) for name, column in visits.contexts().to_dict().items()}
    return pl.DataFrame({**columns, **contexts}).sort("event_ts", "user_id", "item_id", "event_type")


def _was_opened(state: PeopleState, person: Numbers, numbers: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    """(n_requests, k) whether each item is among those that the person remembers."""
    was_opened = np.zeros(numbers.shape, bool)
    somebody = np.flatnonzero(state.n_opened[person] > 0)
    for place in range(OPENED_KEPT):
        remembered = state.opened[person[somebody], place]
        was_opened[somebody] |= (numbers[somebody] == remembered[:, None]) & (remembered[:, None] != EMPTY)
    return was_opened


def _circumstances(visits: Visits, shelf: Shelf) -> Floats:
    """(n_visits, n_topics) logits."""
    return shelf.topics.circumstances(visits.device, visits.day_part, visits.entry_page)


def _topics_drawn(taste: Floats, rng: np.random.Generator) -> Numbers:
    """(n,) a topic for each row, in proportion to the row."""
    ends = np.cumsum(taste, axis=1, dtype=np.float64)
    drawn = rng.random(len(taste)) * ends[:, -1] if len(taste) else np.empty(0)
    return np.asarray(np.minimum((ends <= drawn[:, None]).sum(axis=1), N_TOPICS - 1), np.int64)


def _share_events(
    opened: SimulatedEvents, liked: npt.NDArray[np.float64], nature: Nature, rng: np.random.Generator
) -> SimulatedEvents:
    chosen = rng.random(len(opened)) < 2 * nature.share_share * liked
    return opened.followed(chosen, EventType.SHARE, 20 + rng.exponential(30.0, int(chosen.sum())))


def _with_reading_time(
    opened: SimulatedEvents, liked: npt.NDArray[np.float64], nature: Nature, rng: np.random.Generator
) -> SimulatedEvents:
    """The same events with the seconds that the article was read."""
    log_seconds = nature.read_log_seconds + nature.read_taste_weight * liked
    seconds = np.exp(log_seconds + READ_SPREAD * rng.normal(size=len(opened)))
    return replace(opened, value=np.round(np.clip(seconds, 1.0, MOST_READ_SECONDS), 1))


def _cart_events(
    opened: SimulatedEvents, liked: npt.NDArray[np.float64], items: Items, people: People, rng: np.random.Generator
) -> SimulatedEvents:
    nature = items.spec.nature
    dear = nature.thrift_weight * items.priciness[opened.item] * people.thrift[opened.person]
    chosen = rng.random(len(opened)) < expit(nature.cart_logit + nature.cart_taste_weight * liked - dear)
    return opened.followed(chosen, EventType.ADD_TO_CART, rng.exponential(SECONDS_TO_CART, int(chosen.sum())) + 1)


def _purchases(carts: SimulatedEvents, items: Items, rng: np.random.Generator) -> SimulatedEvents:
    """Purchases, with the price as their value."""
    chosen = rng.random(len(carts)) < items.spec.nature.purchase_share
    paid = carts.followed(chosen, EventType.PURCHASE, rng.exponential(SECONDS_TO_PAY, int(chosen.sum())) + 1)
    return replace(paid, value=items.price[paid.item])


def _move_tastes(state: PeopleState, opened: SimulatedEvents, items: Items) -> None:
    """taste <- (taste + drift * sum of the opened items' vectors) / (1 + drift * their number); rows still sum to 1."""
    drift, first = items.spec.nature.drift, items.weight[opened.item]
    _add_at(state.taste, opened.person, items.topic[opened.item], drift * first)
    _add_at(state.taste, opened.person, items.second[opened.item], drift * (1 - first))
    who, n_opened = np.unique(opened.person, return_counts=True)
    state.taste[who] /= (1 + drift * n_opened)[:, None].astype(np.float32)


def _note_opened(state: PeopleState, opened: SimulatedEvents) -> None:
    """The latest opened items take the places of the oldest ones."""
    order = np.lexsort((opened.ts_us, opened.person))
    person, item = opened.person[order], opened.item[order]
    who, first, counts = np.unique(person, return_index=True, return_counts=True)
    nth = np.arange(len(person)) - np.repeat(first, counts)
    kept = nth >= np.repeat(counts, counts) - OPENED_KEPT  # or two would be written into one place
    place = (state.n_opened[person] + nth) % OPENED_KEPT
    state.opened[person[kept], place[kept]] = item[kept]
    state.n_opened[who] += counts


def _add_at(
    table: Floats, row: Numbers, column: npt.NDArray[np.integer], amounts: npt.NDArray[np.floating[Any]]
) -> None:
    """table[row, column] += amounts, each as often as it stands there."""
    n_columns = table.shape[1]
    who, position = np.unique(row, return_inverse=True)
    sums = np.bincount(position * n_columns + column, amounts, minlength=len(who) * n_columns)
    table[who] += sums.reshape(len(who), n_columns).astype(np.float32)


def _gathered(column: pl.Series, rows: Numbers) -> pl.Series:
    """The values at the rows; null at row -1."""
    # Null row numbers give null values; an empty column has nothing else to give.
    known = pl.Series(rows).to_frame("row").select(pl.when(pl.col("row") >= 0).then(pl.col("row"))).to_series()
    return column.gather(known) if len(column) else pl.repeat(None, len(rows), dtype=column.dtype, eager=True)
