"""People, in blocks: what stays the same for each of them, and what changes from day to day."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from contracts.calendar import MICROSECONDS_PER_DAY, MICROSECONDS_PER_HOUR
from sources.simulator.external_ids import USER, ids_of
from sources.simulator.items import times_of
from sources.simulator.random_streams import Stream, stream
from sources.simulator.topics import Floats, Topics
from sources.simulator.words import N_TOPICS
from sources.simulator.world_spec import DAY_PARTS, DEVICES, ENTRY_PAGES, WorldSpec

# People who are simulated together: a block is the unit of work, of randomness and of memory. Another size would be
# another world.
BLOCK = 32_768
OPENED_KEPT = 16  # opened items that somebody remembers
FRIEND_SHARE = 0.5  # of a taste, where somebody came through a friend
DEVICE_SHARES = (0.62, 0.33, 0.05)
DAY_PART_SHARES = (0.06, 0.25, 0.31, 0.38)
# The hours at which a day part begins and ends; the last visit begins early enough to end within its day.
DAY_PART_HOURS = ((0.0, 6.0), (6.0, 12.0), (12.0, 18.0), (18.0, 22.9))
NEVER = -10_000  # the day of a visit that has not been
DAYS_PRESENT = 300  # those who are there on the first day joined over so many days before it

Ints = npt.NDArray[np.int32]


@dataclass(frozen=True)
class People:
    """What stays the same for the people of a block; position p is person number `first + p`, in the order of joining.

    joined_us: microseconds from day 0; left_day: the first day on which somebody is gone. rate: visits per day.
    more_pages: the chance to turn to another page. device, day_part, entry_page: the usual ones, and those of the
    first visit, as positions in DEVICES, DAY_PARTS and ENTRY_PAGES. thrift: standard normal.
    referrer: the position of who brought them, -1 where nobody did. taste: (n, n_topics) rows sum to 1.
    """

    spec: WorldSpec
    block: int
    joined_us: npt.NDArray[np.int64]
    left_day: Ints
    rate: Floats
    more_pages: Floats
    device: npt.NDArray[np.int8]
    day_part: npt.NDArray[np.int8]
    entry_page: npt.NDArray[np.int8]
    thrift: Floats
    referrer: Ints
    taste: Floats

    @classmethod
    def draw(cls, spec: WorldSpec, topics: Topics, block: int) -> People:
        """The people of one block of a world."""
        rng, nature = stream(spec.seed, Stream.PEOPLE, block), spec.nature
        n_people = min(BLOCK, spec.n_users - block * BLOCK)
        day_part = _drawn(rng, DAY_PART_SHARES, n_people)
        joined_day = _joined_days(spec, n_people, rng)
        joined_us = joined_day * MICROSECONDS_PER_DAY + second_of_day(day_part, rng)
        # Newcomers of one day stand in the order of their hours; the day itself keeps its place.
        order = np.argsort(joined_us, kind="stable")
        joined_us, joined_day, day_part = joined_us[order], joined_day[order], day_part[order]
        stays = rng.geometric(1 / nature.days_until_leaving, n_people)
        # Those who are there on the first day have not left before it.
        left_day = np.maximum(joined_day, 0) + stays
        rate = rng.gamma(nature.visits_shape, nature.visits_per_day / nature.visits_shape, n_people)
        referrer = _referrers(joined_day, left_day, nature.referred, rng)
        return cls(
            spec,
            block,
            joined_us,
            left_day.astype(np.int32),
            rate.astype(np.float32),
            rng.beta(*nature.more_pages, n_people).astype(np.float32),
            _drawn(rng, DEVICE_SHARES, n_people),
            day_part,
            _drawn(rng, nature.entry_pages, n_people),
            rng.normal(size=n_people).astype(np.float32),
            referrer,
            _tastes(topics, nature.topics_liked, referrer, rng),
        )

    def __len__(self) -> int:
        return len(self.joined_us)

    @property
    def first(self) -> int:
        """The number of the first person of the block."""
        return self.block * BLOCK

    @cached_property
    def joined_day(self) -> Ints:
        """(n,) ascending."""
        return (self.joined_us // MICROSECONDS_PER_DAY).astype(np.int32)

    @cached_property
    def ids(self) -> pl.Series:
        """The external ids, in the order of the positions."""
        return ids_of(USER, self.first + np.arange(len(self)))

    def table(self) -> pl.DataFrame:
        """The canonical `users` table of the block, and who brought whom; in the order of the positions."""
        brought_by = pl.Series(np.maximum(self.referrer, 0))
        came_alone = pl.Series(self.referrer < 0)
        return pl.DataFrame(
            {
                "user_id": self.ids,
                "signup_ts": times_of(self.joined_us),
                "device": labels(DEVICES, self.device),
                "day_part": labels(DAY_PARTS, self.day_part),
                "entry_page": labels(ENTRY_PAGES, self.entry_page),
                "referred_by": self.ids.gather(brought_by),
            }
        ).with_columns(referred_by=pl.when(came_alone).then(None).otherwise(pl.col("referred_by")))


@dataclass
class PeopleState:
    """What changes: what has become of the tastes, and what people have seen and done.

    taste: (n, n_topics) rows sum to 1; shown: (n, n_topics) impressions of each topic, older ones counting less;
    opened: (n, OPENED_KEPT) the latest item numbers, -1 where there are fewer; n_opened: (n,) ever; last_visit: day.
    """

    taste: Floats
    shown: Floats
    opened: Ints
    n_opened: npt.NDArray[np.int64]
    last_visit: npt.NDArray[np.int16]

    @classmethod
    def of(cls, people: People) -> PeopleState:
        """Before the first day."""
        n_people = len(people)
        return cls(
            people.taste.copy(),
            np.zeros((n_people, N_TOPICS), np.float32),
            np.full((n_people, OPENED_KEPT), -1, np.int32),
            np.zeros(n_people, np.int64),
            np.full(n_people, NEVER, np.int16),
        )


def n_blocks(spec: WorldSpec) -> int:
    """How many blocks the people of a world are in."""
    return -(-spec.n_users // BLOCK)


def labels(names: tuple[str, ...], positions: npt.NDArray[np.integer]) -> pl.Series:
    """The names at these positions."""
    return pl.Series(names).gather(pl.Series(positions.astype(np.int64)))


def second_of_day(day_part: npt.NDArray[np.integer], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """(n,) microseconds into the day, somewhere in each day part."""
    low, high = np.array(DAY_PART_HOURS).T
    hours = low[day_part] + (high - low)[day_part] * rng.random(len(day_part))
    return np.asarray(hours * MICROSECONDS_PER_HOUR, np.int64)


def _drawn(rng: np.random.Generator, shares: tuple[float, ...], n: int) -> npt.NDArray[np.int8]:
    return rng.choice(len(shares), n, p=shares).astype(np.int8)


def _joined_days(spec: WorldSpec, n_people: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Ascending; negative for those who are there on the first day, the others join day after day."""
    n_present = int(n_people * spec.nature.present_users)
    before = -rng.integers(1, DAYS_PRESENT, n_present)
    return np.sort(np.concatenate([before, rng.integers(0, spec.n_days, n_people - n_present)]))


def _referrers(
    joined_day: npt.NDArray[np.int64], left_day: npt.NDArray[np.int64], share: float, rng: np.random.Generator
) -> Ints:
    """For each newcomer, who of those that joined on an earlier day, and are there, brought them; -1 for nobody."""
    n_before = np.searchsorted(joined_day, joined_day)
    candidate = (rng.random(len(joined_day)) * n_before).astype(np.int32)
    brought = (rng.random(len(joined_day)) < share) & (joined_day >= 0) & (n_before > 0)
    brought &= left_day[candidate] > joined_day
    return np.where(brought, candidate, -1).astype(np.int32)


def _tastes(topics: Topics, topics_liked: float, referrer: Ints, rng: np.random.Generator) -> Floats:
    own = rng.standard_gamma(topics_liked * topics.shares, (len(referrer), N_TOPICS), np.float32) + np.float32(1e-6)
    own /= own.sum(axis=1, keepdims=True)
    friends = np.where(referrer[:, None] >= 0, own[referrer], own)
    return np.asarray((1 - FRIEND_SHARE) * own + FRIEND_SHARE * friends, np.float32)
