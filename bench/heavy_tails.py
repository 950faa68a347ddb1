"""Made-up interactions as heavy-tailed as MovieLens 25M: some people with thousands, some items with tens of thousands.

What the journey simulator makes has few events a person, which makes the pairs of item to item far too easy. Here
people have as many events as MovieLens' (20 at least, 71 at the median, 153 on average, thousands at most), items are
chosen by popularity (a Zipf law that flattens at its head) within the taste of whoever chooses, and everybody comes in
visits.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from contracts.calendar import SECONDS_PER_DAY

FIRST_TS = 1_546_300_800  # 2019-01-01
N_DAYS = 5 * 365
N_TASTES = 20
IN_TASTE = 0.6  # of somebody's events are among the items of one of their tastes
EVENTS = (20, 9000)  # a person, at least and at most
EVENTS_MEDIAN, EVENTS_SIGMA = 51.0, 1.25  # of what comes above the least, log-normal
MEAN_EVENTS = 153  # as 25,000,095 ratings of 162,541 people
ZIPF, FLAT_HEAD = 1.05, 60.0
EVENTS_A_VISIT = 20
PEOPLE_A_PART = 20_000
TYPES, TYPE_SHARES = ("view", "click", "purchase"), (0.7, 0.25, 0.05)

MAPPING = {
    "interactions": {
        "path": "interactions/*.parquet",
        "time_unit": "s",
        "columns": {"user_id": "who", "item_id": "what", "event_type": "did", "event_ts": "at", "value": "paid"},
        "event_types": {name: name for name in TYPES},
    },
    "items": {
        "path": "items.parquet",
        "category_separator": "|",
        "time_unit": "s",
        "columns": {
            "item_id": "what",
            "title": "title",
            "categories": "kinds",
            "price": "price",
            "created_ts": "since",
        },
    },
}


@dataclass(frozen=True)
class Shape:
    """How much there is of what."""

    n_interactions: int
    n_people: int
    n_items: int

    @classmethod
    def of(cls, n_interactions: int) -> Shape:
        """People and items in MovieLens' proportions: 162,000 and 59,000 for 25 million."""
        n_items = round(59_000 * (n_interactions / 25e6) ** 0.6)
        return cls(n_interactions, max(100, round(n_interactions / MEAN_EVENTS)), n_items)


def write_export(folder: Path, shape: Shape, seed: int) -> None:
    """The export, as `MAPPING` reads it: items, and interactions in parts of people."""
    rng = np.random.default_rng(seed)
    (folder / "interactions").mkdir(parents=True)
    taste_of_item = rng.integers(N_TASTES, size=shape.n_items)
    _write_items(folder, rng, taste_of_item)
    popularity = _popularity(rng, shape.n_items)
    lengths = _lengths(rng, shape)
    choosers = _Choosers(popularity, taste_of_item)
    for part, first in enumerate(range(0, shape.n_people, PEOPLE_A_PART)):
        people = np.arange(first, min(first + PEOPLE_A_PART, shape.n_people))
        _interactions(rng, people, lengths[people], choosers).write_parquet(
            folder / "interactions" / f"{part:05}.parquet"
        )


class _Choosers:
    """Draws of items by popularity: of all of them, and of those of one taste."""

    def __init__(self, popularity: npt.NDArray[np.float64], taste_of_item: npt.NDArray[np.int64]) -> None:
        self._all = np.cumsum(popularity)
        self._of_taste = [np.flatnonzero(taste_of_item == taste) for taste in range(N_TASTES)]
        self._within = [np.cumsum(popularity[items]) for items in self._of_taste]

    def choose(self, rng: np.random.Generator, tastes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """(n,) items; tastes: (n,) -1 for any."""
        chosen = np.searchsorted(self._all, rng.random(len(tastes)) * self._all[-1])
        for taste, (items, within) in enumerate(zip(self._of_taste, self._within, strict=True)):
            here = np.flatnonzero(tastes == taste)
            if len(items):
                chosen[here] = items[np.searchsorted(within, rng.random(len(here)) * within[-1])]
        return chosen


def _popularity(rng: np.random.Generator, n_items: int) -> npt.NDArray[np.float64]:
    popularity: npt.NDArray[np.float64] = (np.arange(n_items) + FLAT_HEAD) ** -ZIPF
    return rng.permutation(popularity / popularity.sum())


def _lengths(rng: np.random.Generator, shape: Shape) -> npt.NDArray[np.int64]:
    least, most = EVENTS
    drawn = least + rng.lognormal(np.log(EVENTS_MEDIAN), EVENTS_SIGMA, shape.n_people)
    wanted = drawn * shape.n_interactions / drawn.sum()
    return np.clip(np.round(wanted), 2, most).astype(np.int64)


def _interactions(
    rng: np.random.Generator, people: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], choosers: _Choosers
) -> pl.DataFrame:
    who = np.repeat(people, lengths)
    own = rng.integers(N_TASTES, size=(len(people), 3))  # the tastes of a person, one of them may come twice
    tastes = own[who - people[0], rng.integers(3, size=len(who))]
    what = choosers.choose(rng, np.where(rng.random(len(who)) < IN_TASTE, tastes, -1))
    n_visits = 1 + (lengths - 1) // EVENTS_A_VISIT
    joined = rng.integers(0, N_DAYS * SECONDS_PER_DAY * 9 // 10, len(people))
    stays = rng.exponential(120 * SECONDS_PER_DAY, len(people)) + 3600
    visit = (np.arange(len(who)) - np.repeat(np.cumsum(lengths) - lengths, lengths)) // EVENTS_A_VISIT
    first_visit = np.cumsum(n_visits) - n_visits
    visit_ts = np.repeat(joined, n_visits) + rng.random(n_visits.sum()) * np.repeat(stays, n_visits)
    at = visit_ts[np.repeat(first_visit, lengths) + visit] + rng.exponential(600, len(who)).cumsum() % 3600
    table = {
        "who": pl.Series(who).cast(pl.String),
        "what": pl.Series(what).cast(pl.String),
        "did": rng.choice(TYPES, len(who), p=TYPE_SHARES),
        "at": np.minimum(FIRST_TS + at, FIRST_TS + N_DAYS * SECONDS_PER_DAY - 1).astype(np.int64),
        "paid": rng.gamma(2.0, 15.0, len(who)).round(2),
    }
    return pl.DataFrame(table).unique(["who", "what", "at"], maintain_order=True)


def _write_items(folder: Path, rng: np.random.Generator, taste_of_item: npt.NDArray[np.int64]) -> None:
    n_items = len(taste_of_item)
    second = rng.integers(N_TASTES, size=n_items)
    words = rng.integers(2000, size=(n_items, 2))
    pl.DataFrame(
        {
            "what": [str(item) for item in range(n_items)],
            "title": [
                f"Kind{taste} word{one} word{other} {item}"
                for item, (taste, (one, other)) in enumerate(zip(taste_of_item.tolist(), words.tolist(), strict=True))
            ],
            "kinds": [
                f"kind {one}|kind {two}" for one, two in zip(taste_of_item.tolist(), second.tolist(), strict=True)
            ],
            "price": rng.gamma(2.0, 15.0, n_items).round(2) + 1,
            "since": FIRST_TS - rng.integers(0, 1000 * SECONDS_PER_DAY, n_items),
        }
    ).write_parquet(folder / "items.parquet")
