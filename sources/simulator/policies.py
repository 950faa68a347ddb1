"""Who decides what is shown: what a policy is asked, what it answers, and the policy that logs by default.

A policy is any function from Requests to Slates. It is called once per block of people and day.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from contracts.errors import ShapeMismatch, UnknownId
from sources.simulator.external_ids import ITEM, numbers_of, request_ids
from sources.simulator.items import Ints, Shelf, times_of
from sources.simulator.journeys import Pages, Visits
from sources.simulator.world_spec import SLATE_LENGTH

EMPTY = -1  # the number in a place of a slate where nothing stands
LOGGING_POLICY = "popularity-explored"
EXPLORATION = 0.2  # the share of the logging policy's draws that ignores popularity


@dataclass(frozen=True)
class Slates:
    """The answer to requests, a row each; nothing stands behind an empty place.

    item_numbers: (n_requests, k) numbers on the shelf, EMPTY where a slate is shorter. propensities: (n_requests, k)
    the chance with which the policy showed that item at that position.
    """

    item_numbers: Ints
    propensities: npt.NDArray[np.float64]
    policy_id: str


@dataclass(frozen=True)
class Requests:
    """What a policy is asked: the pages of one block of people on one day, one row each.

    rng: for a policy that draws; the same world asks with the same draws.
    """

    visits: Visits
    pages: Pages
    shelf: Shelf
    rng: np.random.Generator

    def __len__(self) -> int:
        return len(self.pages.visit)

    @property
    def day(self) -> int:
        return self.shelf.day

    @property
    def item_ids(self) -> pl.Series:
        """What can be shown today; `Slates.item_numbers` are positions in this."""
        return self.shelf.item_ids

    @cached_property
    def person(self) -> npt.NDArray[np.int64]:
        """(n,) the position of each page's person in the block."""
        return self.visits.person[self.pages.visit]

    @cached_property
    def table(self) -> pl.DataFrame:
        """request_id, user_id, session_id, page (from 0), ts, device, day_part, entry_page: a row per request."""
        people = self.visits.people
        rows = pl.Series(self.pages.visit)
        identity = {
            "request_id": request_ids(people.first + self.person, self.day, self.pages.page),
            "user_id": people.ids.gather(pl.Series(self.person)),
            "session_id": self.visits.ids().gather(rows),
            "page": pl.Series(self.pages.page),
            "ts": times_of(self.pages.ts_us),
        }
        return pl.DataFrame(identity).hstack(self.visits.contexts()[self.pages.visit])

    def slates(
        self, item_ids: Sequence[Sequence[str]], policy_id: str, propensities: npt.NDArray[np.float64] | None = None
    ) -> Slates:
        """The answer in external ids: a sequence of ids per request, in the order of the positions, lengths may differ.

        propensities: as Slates has them, by default 1, which is right for a policy that draws nothing.
        Raises ShapeMismatch where a request has no slate, UnknownId for an item that is not on the shelf.
        """
        if len(item_ids) != len(self):
            raise ShapeMismatch(
                f"{policy_id} answered {len(self)} requests with {len(item_ids)} slates.", "Answer every request once."
            )
        lengths = np.array([len(slate) for slate in item_ids], np.int64)
        width = int(lengths.max(initial=0))
        stands = np.arange(width) < lengths[:, None]
        numbers = np.full((len(self), width), EMPTY, np.int32)
        numbers[stands] = self._shelf_numbers([item_id for slate in item_ids for item_id in slate], policy_id)
        chances = stands.astype(np.float64) if propensities is None else propensities
        return Slates(numbers, chances, policy_id)

    def check(self, slates: Slates) -> None:
        """Raise ShapeMismatch where the slates are no answer to these requests: rows, widths, items, repetitions."""
        numbers = slates.item_numbers
        shape = (len(self), numbers.shape[1] if numbers.ndim == 2 else -1)
        if numbers.shape != shape or slates.propensities.shape != shape:
            raise ShapeMismatch(
                f"{slates.policy_id} answered {len(self)} requests with items of shape {numbers.shape} and "
                f"propensities of shape {slates.propensities.shape}.",
                "Both have a row per request and a column per position.",
            )
        outside = (numbers < EMPTY) | (numbers >= len(self.shelf))
        ordered = np.sort(numbers, axis=1)
        repeated = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != EMPTY)
        if outside.any() or repeated.any():
            raise ShapeMismatch(
                f"{slates.policy_id} showed {int(outside.sum())} items that are not on the shelf of day {self.day} and "
                f"{int(repeated.sum())} twice on one page.",
                f"Show each of the {len(self.shelf)} items of `requests.item_ids` at most once.",
            )

    def _shelf_numbers(self, item_ids: list[str], policy_id: str) -> Ints:
        numbers = numbers_of(ITEM, item_ids)
        wrong = np.flatnonzero((numbers < 0) | (numbers >= len(self.shelf)))
        if len(wrong):
            raise UnknownId(
                f"{policy_id} showed {item_ids[int(wrong[0])]!r}, which is not on the shelf of day {self.day}.",
                "Show what `requests.item_ids` lists.",
            )
        return numbers.astype(np.int32)


Policy = Callable[[Requests], Slates]


def logging_policy(requests: Requests) -> Slates:
    """Popularity with exploration, the same for everybody, and every propensity exact.

    The shelf is dealt into ten pools. A page takes one item of each, from a pool drawn by what is sought or, with the
    chance EXPLORATION, at random; which pool comes first is drawn as well. So no item comes twice, every one can come
    anywhere, and the chance of an item at a position is the chance within its pool over ten.
    """
    rng, pools = requests.rng, _Pools.of(requests.shelf)
    n_requests = len(requests)
    first = rng.integers(SLATE_LENGTH, size=n_requests)
    pool = (first[:, None] + np.arange(SLATE_LENGTH)) % SLATE_LENGTH
    low, high = pools.edges[pool], pools.edges[pool + 1]
    sought = np.searchsorted(pools.ends, low + rng.random(pool.shape) * (high - low), side="right")
    anyhow = pools.starts[pool] + (rng.random(pool.shape) * pools.sizes[pool]).astype(np.int64)
    place = np.where(rng.random(pool.shape) < EXPLORATION, anyhow, sought)
    # Rounding at the very edge of a pool must not lead into the next one.
    place = np.clip(place, pools.starts[pool], pools.starts[pool] + pools.sizes[pool] - 1)
    numbers = pools.numbers[place]
    within = (1 - EXPLORATION) * requests.shelf.weight[numbers] / (high - low) + EXPLORATION / pools.sizes[pool]
    return Slates(numbers, within / SLATE_LENGTH, LOGGING_POLICY)


@dataclass(frozen=True)
class _Pools:
    """numbers: of the shelf, pool after pool; ends: running sum of their weights; starts, sizes: (SLATE_LENGTH,) where
    each pool lies in numbers; edges: (SLATE_LENGTH + 1,) the running sum at their borders."""

    numbers: Ints
    ends: npt.NDArray[np.float64]
    starts: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    edges: npt.NDArray[np.float64]

    @classmethod
    def of(cls, shelf: Shelf) -> _Pools:
        numbers = shelf.items.by_pool[shelf.items.by_pool < len(shelf)]
        ends = np.cumsum(shelf.weight[numbers])
        sizes = np.bincount(numbers % SLATE_LENGTH, minlength=SLATE_LENGTH)
        borders = np.concatenate([[0], np.cumsum(sizes)])
        return cls(numbers, ends, borders[:-1], sizes, np.concatenate([[0.0], ends])[borders])
