"""Titles, categories and texts of items, from which a reader can tell their topics."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import numpy as np
import polars as pl

from sources.simulator.external_ids import Numbers
from sources.simulator.items import Items, times_of
from sources.simulator.random_streams import Stream, stream
from sources.simulator.words import (
    COMMON_WORDS,
    MANNERS,
    N_TOPICS,
    TOPIC_WORD_SHARE,
    WORDS_PER_TEXT,
    topics_of,
    words_of,
)

ITEMS_PER_PART = 65_536
ONE_CATEGORY_WEIGHT = 0.8  # an item that is this much of its first topic is of no other category


def item_tables(items: Items) -> Iterator[pl.DataFrame]:
    """The canonical `items` table, in parts; each in the order of item_id."""
    for part, start in enumerate(range(0, len(items), ITEMS_PER_PART)):
        numbers = np.arange(start, min(start + ITEMS_PER_PART, len(items)))
        yield _described(items, numbers, stream(items.spec.seed, Stream.TEXTS, block=part)).sort("item_id")


def _described(items: Items, numbers: Numbers, rng: np.random.Generator) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "item_id": items.ids.gather(pl.Series(numbers)),
            "title": _titles(items, numbers, rng),
            "categories": _categories(items, numbers),
            "text": _texts(items, numbers, rng),
            "price": pl.Series(items.price[numbers]).fill_nan(None),
            "created_ts": times_of(items.created_us[numbers]),
        }
    )


def _categories(items: Items, numbers: Numbers) -> list[list[str]]:
    """The first topic, and the second where it is much of the item."""
    names = topics_of(items.spec.kind)
    rows = zip(items.topic[numbers].tolist(), items.second[numbers].tolist(), strict=True)
    has_two = (items.weight[numbers] < ONE_CATEGORY_WEIGHT).tolist()
    return [[names[one], names[two]] if both else [names[one]] for (one, two), both in zip(rows, has_two, strict=True)]


def _titles(items: Items, numbers: Numbers, rng: np.random.Generator) -> list[str]:
    words, names = words_of(items.spec.kind), MANNERS.split()
    drawn = rng.integers(len(words[0]), size=(len(numbers), 2)).tolist()
    manners = rng.integers(len(names), size=len(numbers)).tolist()
    topics = zip(items.topic[numbers].tolist(), items.second[numbers].tolist(), drawn, manners, strict=True)
    return [f"{names[manner]} {words[one][a]} and {words[two][b]}" for one, two, (a, b), manner in topics]


def _texts(items: Items, numbers: Numbers, rng: np.random.Generator) -> list[str]:
    """Words of the item's two topics, as much of each as the item is, among common ones."""
    of_topics, common = words_of(items.spec.kind), COMMON_WORDS.split()
    words, per_topic = np.array([*chain.from_iterable(of_topics), *common]), len(of_topics[0])
    shape = (len(numbers), WORDS_PER_TEXT)
    first = rng.random(shape) < items.weight[numbers][:, None]
    topic = np.where(first, items.topic[numbers][:, None], items.second[numbers][:, None]).astype(np.int64)
    speaks = topic * per_topic + rng.integers(per_topic, size=shape)
    fills = N_TOPICS * per_topic + rng.integers(len(common), size=shape)
    chosen = np.where(rng.random(shape) < TOPIC_WORD_SHARE, speaks, fills)
    return [" ".join(row) for row in words[chosen].tolist()]
