"""Who comes on a day, and what they ask for: the visits of one block of people, and their pages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from contracts.calendar import MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND
from sources.simulator.external_ids import visit_ids
from sources.simulator.people import DAY_PART_SHARES, DEVICE_SHARES, People, PeopleState, labels, second_of_day
from sources.simulator.random_streams import Stream, stream
from sources.simulator.world_spec import DAY_PARTS, DEVICES, ENTRY_PAGES, Nature

MOST_PAGES = 40
SECONDS_BETWEEN_PAGES = 45.0
MOST_SECONDS = 3_600  # of a visit: the last one begins more than an hour before midnight
USUAL_SHARE = 0.85  # of visits on the usual device, in the usual part of the day
RETURNING_DAYS = 2.0  # after so many days the pull of the last visit is down to 1/e
FIRST_DAY_OF_WEEKEND = 5  # START is a Monday

Int8s = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Visits:
    """The visits of a block on a day, one row each: person (position in the block), start (microseconds from day 0),
    and the circumstances, as positions in their lists. n_pages: how many slates are asked for."""

    people: People
    day: int
    person: npt.NDArray[np.int64]
    start_us: npt.NDArray[np.int64]
    device: Int8s
    day_part: Int8s
    entry_page: Int8s
    n_pages: npt.NDArray[np.int64]

    @classmethod
    def draw(cls, people: People, state: PeopleState, day: int) -> tuple[Visits, np.random.Generator]:
        """Who comes on a day, and the stream that the rest of their visits is drawn from."""
        spec = people.spec
        rng = stream(spec.seed, Stream.JOURNEYS, people.block, day)
        person = _who_comes(people, state, day, rng)
        is_first = people.joined_day[person] == day
        device = _usually(people.device[person], DEVICE_SHARES, is_first, rng)
        day_part = _usually(people.day_part[person], DAY_PART_SHARES, is_first, rng)
        entry_page = np.where(
            is_first, people.entry_page[person], rng.choice(len(ENTRY_PAGES), len(person), p=spec.nature.entry_pages)
        ).astype(np.int8)
        start_us = day * MICROSECONDS_PER_DAY + second_of_day(day_part, rng)
        # Somebody's first visit begins a second after they joined.
        start_us = np.where(is_first, people.joined_us[person] + MICROSECONDS_PER_SECOND, start_us)
        n_pages = np.minimum(rng.geometric(1 - np.minimum(people.more_pages[person], 0.97)), MOST_PAGES)
        return cls(people, day, person, start_us, device, day_part, entry_page, n_pages), rng

    def __len__(self) -> int:
        return len(self.person)

    def ids(self) -> pl.Series:
        """The session ids."""
        return visit_ids(self.people.first + self.person, self.day)

    def contexts(self) -> pl.DataFrame:
        """device, day_part, entry_page: in words, a row per visit."""
        return pl.DataFrame(
            {
                "device": labels(DEVICES, self.device),
                "day_part": labels(DAY_PARTS, self.day_part),
                "entry_page": labels(ENTRY_PAGES, self.entry_page),
            }
        )


@dataclass(frozen=True)
class Pages:
    """The pages of a block's visits, those of a visit together and in order: visit (row of Visits), page (from 0)."""

    visit: npt.NDArray[np.int64]
    page: npt.NDArray[np.int64]
    ts_us: npt.NDArray[np.int64]


def turn_pages(visits: Visits, rng: np.random.Generator) -> Pages:
    """Every page of every visit, with the time at which it is turned to."""
    visit = np.repeat(np.arange(len(visits)), visits.n_pages)
    first = np.cumsum(visits.n_pages) - visits.n_pages
    page = np.arange(len(visit)) - first[visit]
    gaps = np.where(page == 0, 0.0, 2 + rng.exponential(SECONDS_BETWEEN_PAGES, len(page)))
    since = np.cumsum(gaps)
    seconds = np.minimum(since - since[first[visit]], MOST_SECONDS / 2)
    return Pages(visit, page, visits.start_us[visit] + (seconds * MICROSECONDS_PER_SECOND).astype(np.int64))


def visit_factor(nature: Nature, day: int) -> float:
    """How many visits a day sees against a working day."""
    return nature.weekend if day % 7 >= FIRST_DAY_OF_WEEKEND else 1.0


def _who_comes(people: People, state: PeopleState, day: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Positions, ascending: those who join today, and those of the others who are drawn by their rate of visits."""
    n_joined = int(np.searchsorted(people.joined_day, day, side="right"))
    since_visit = day - state.last_visit[:n_joined].astype(np.float32)
    pull = 1 + people.spec.nature.returning * np.exp(-since_visit / RETURNING_DAYS)
    expected = people.rate[:n_joined] * pull * visit_factor(people.spec.nature, day)
    comes = rng.random(n_joined) < -np.expm1(-expected)
    comes |= people.joined_day[:n_joined] == day
    return np.flatnonzero(comes & (people.left_day[:n_joined] > day))


def _usually(
    usual: Int8s, shares: tuple[float, ...], is_first: npt.NDArray[np.bool_], rng: np.random.Generator
) -> Int8s:
    other = rng.choice(len(shares), len(usual), p=shares)
    return np.where(is_first | (rng.random(len(usual)) < USUAL_SHARE), usual, other).astype(np.int8)
