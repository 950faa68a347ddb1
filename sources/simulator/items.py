"""The catalogue: the true properties of every item, and which items can be shown on a day."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from contracts.calendar import MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND
from contracts.tables import UTC_TIME
from sources.simulator.external_ids import ITEM, ids_of
from sources.simulator.random_streams import Stream, stream
from sources.simulator.topics import Floats, Topics
from sources.simulator.words import N_TOPICS
from sources.simulator.world_spec import SLATE_LENGTH, START, WorldKind, WorldSpec

START_US = int(START.timestamp()) * MICROSECONDS_PER_SECOND
ATTRACTION = 0.6  # correlation of an item's quality with how much it is sought
PRICE_LOG_MEAN, PRICE_LOG_STD = 3.2, 0.8  # about 25 of the currency, a tenth of the items above 70

Ints = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Items:
    """What every item is, by item number; numbers go with time: what is on the shelf on a day is a prefix of them.

    created_us: microseconds from day 0, negative for what was there before. topic, second: topic numbers; weight: of
    the first, the second has the rest. quality: standard normal. appeal: how much it is sought. price: NaN where
    nothing is sold; priciness: standard deviations of the log price from its topic's mean.
    """

    spec: WorldSpec
    created_us: npt.NDArray[np.int64]
    topic: npt.NDArray[np.int8]
    second: npt.NDArray[np.int8]
    weight: Floats
    quality: Floats
    appeal: npt.NDArray[np.float64]
    price: npt.NDArray[np.float64]
    priciness: Floats

    @classmethod
    def draw(cls, spec: WorldSpec, topics: Topics) -> Items:
        """The items of a world."""
        rng, nature, n_items = stream(spec.seed, Stream.ITEMS), spec.nature, spec.n_items
        attraction, noise = rng.normal(size=n_items), rng.normal(size=n_items)
        ranks = np.empty(n_items)
        ranks[np.argsort(-attraction)] = np.arange(1, n_items + 1)
        topic = rng.choice(N_TOPICS, n_items, p=_normalised(topics.shares)).astype(np.int8)
        # The second topic is another one: at least one step further round.
        second = ((topic + rng.integers(1, N_TOPICS, n_items)) % N_TOPICS).astype(np.int8)
        log_price = rng.normal(size=n_items)
        of_topic = rng.normal(PRICE_LOG_MEAN, PRICE_LOG_STD / 2, N_TOPICS)
        price = np.round(np.exp(of_topic[topic] + PRICE_LOG_STD * log_price), 2)
        sold = spec.kind is WorldKind.SHOP
        return cls(
            spec,
            _created(spec, rng),
            topic,
            second,
            rng.uniform(0.6, 1.0, n_items).astype(np.float32),
            (ATTRACTION * attraction + np.sqrt(1 - ATTRACTION**2) * noise).astype(np.float32),
            np.asarray((ranks + nature.popularity_shift) ** -nature.popularity_power, np.float64),
            np.asarray(price, np.float64) if sold else np.full(n_items, np.nan),
            log_price.astype(np.float32) if sold else np.zeros(n_items, np.float32),
        )

    def __len__(self) -> int:
        return len(self.topic)

    @cached_property
    def ids(self) -> pl.Series:
        """The external ids, in the order of the numbers."""
        return ids_of(ITEM, np.arange(len(self)))

    @cached_property
    def by_topic(self) -> Ints:
        """All item numbers, those of one topic together, in the order of the topics."""
        return np.argsort(self.topic, kind="stable").astype(np.int32)

    @cached_property
    def by_pool(self) -> Ints:
        """All item numbers, those of one pool together: an item's pool is its number modulo the slate's length."""
        return np.argsort(np.arange(len(self)) % SLATE_LENGTH, kind="stable").astype(np.int32)

    def vectors(self) -> Floats:
        """(n_items, n_topics) how much of each topic every item is; rows sum to 1."""
        vectors = np.zeros((len(self), N_TOPICS), np.float32)
        rows = np.arange(len(self))
        vectors[rows, self.topic] = self.weight
        vectors[rows, self.second] = 1 - self.weight
        return vectors


@dataclass(frozen=True)
class Shelf:
    """What can be shown and found on one day: the items that were created before it began.

    weight: (n_on_shelf,) how much each is sought, novelty and season included. novelty: (n_on_shelf,) 0 to 1.
    """

    items: Items
    topics: Topics
    day: int
    weight: npt.NDArray[np.float64]
    novelty: Floats

    @classmethod
    def of(cls, items: Items, topics: Topics, day: int) -> Shelf:
        nature = items.spec.nature
        n_items = int(np.searchsorted(items.created_us, day * MICROSECONDS_PER_DAY))
        age_days = day - items.created_us[:n_items] / MICROSECONDS_PER_DAY
        novelty = np.exp(-age_days / nature.novelty_days)
        kept = nature.novelty_floor + (1 - nature.novelty_floor) * novelty
        season = np.exp(topics.season(day))[items.topic[:n_items]]
        return cls(items, topics, day, items.appeal[:n_items] * kept * season, novelty.astype(np.float32))

    def __len__(self) -> int:
        return len(self.weight)

    @cached_property
    def item_ids(self) -> pl.Series:
        """The ids of what can be shown, in the order of the item numbers."""
        return self.items.ids[: len(self)]

    def draw_of_topics(self, topic: npt.NDArray[np.integer], rng: np.random.Generator) -> Ints:
        """(n,) an item of each topic, drawn by weight."""
        numbers, ends = self._by_topic
        n_of_topic = np.bincount(self.items.topic[numbers], minlength=N_TOPICS)
        edges = np.concatenate([[0.0], ends])[np.concatenate([[0], np.cumsum(n_of_topic)])]
        low, high = edges[topic], edges[topic + 1]
        position = np.searchsorted(ends, low + rng.random(len(topic)) * (high - low), side="right")
        return np.asarray(numbers[np.minimum(position, len(numbers) - 1)])

    @cached_property
    def _by_topic(self) -> tuple[Ints, npt.NDArray[np.float64]]:
        """The numbers by topic, and the running sum of their weights."""
        numbers = self.items.by_topic[self.items.by_topic < len(self)]
        return numbers, np.cumsum(self.weight[numbers])


def _created(spec: WorldSpec, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Ascending; items of the first day were created over the time before it, the others day by day."""
    nature = spec.nature
    n_present = max(int(spec.n_items * nature.present_items), SLATE_LENGTH)
    before = -rng.integers(1, nature.oldest_item_days * MICROSECONDS_PER_DAY, n_present)
    later = rng.integers(0, spec.n_days * MICROSECONDS_PER_DAY, spec.n_items - n_present)
    return np.sort(np.concatenate([before, later]))


def _normalised(shares: Floats) -> npt.NDArray[np.float64]:
    exact = shares.astype(np.float64)
    return np.asarray(exact / exact.sum())


def times_of(microseconds: npt.NDArray[np.int64]) -> pl.Series:
    """Microseconds from day 0 as times."""
    return pl.Series(microseconds + START_US).cast(UTC_TIME)
