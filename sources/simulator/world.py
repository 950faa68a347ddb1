"""A world that reacts: it asks a policy day after day, shows what it answers, and knows what everybody would have done.

    world = World.create(WorldKind.SHOP, n_users=10_000, n_items=2_000, n_days=30, seed=7)
    day = world.day(policy)                    # what happened; tastes, fatigue and memory have moved on
    day.expected_clicks()                      # of the slates that were shown, by the truth

People, visits and catalogue are the same whatever the policy, so that two policies can be compared on the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from contracts.calendar import MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND
from contracts.errors import DataTooSmall, UnknownId
from sources.simulator.descriptions import item_tables
from sources.simulator.external_ids import USER, numbers_of
from sources.simulator.items import Items, Shelf
from sources.simulator.journeys import Pages, Visits, turn_pages
from sources.simulator.people import BLOCK, People, PeopleState, n_blocks
from sources.simulator.policies import EMPTY, Policy, Requests, Slates, logging_policy
from sources.simulator.random_streams import Stream, stream
from sources.simulator.reactions import (
    SimulatedEvents,
    click_probabilities,
    draw_clicks,
    draw_views,
    examination,
    follow_up,
    recommend_to_friends,
    table_of,
    update_state,
)
from sources.simulator.topics import Floats, Topics
from sources.simulator.world_spec import DAY_PARTS, DEVICES, ENTRY_PAGES, WorldKind, WorldSpec, world_kind

NOON_HOURS = 12


@dataclass(frozen=True)
class SimulatedDay:
    """One day of one block of people, or of all.

    interactions: the canonical columns, and device, day_part and entry_page of the visit.
    impressions: request_id, user_id, session_id, item_id, event_ts, position (from 1), propensity, policy_id, device,
    day_part, entry_page, in the order of requests and positions.
    click_probability: aligned with `impressions`: the truth, which no log would hold.
    """

    interactions: pl.DataFrame
    impressions: pl.DataFrame
    click_probability: npt.NDArray[np.float64]

    def expected_clicks(self) -> float:
        """How many clicks the slates were worth, by the truth."""
        return float(self.click_probability.sum())

    @classmethod
    def concat(cls, parts: Sequence[SimulatedDay]) -> SimulatedDay:
        """The blocks of a day as one."""
        interactions = pl.concat([part.interactions for part in parts])
        return cls(
            interactions.sort("event_ts", "user_id", "item_id", "event_type"),
            pl.concat([part.impressions for part in parts]),
            np.concatenate([part.click_probability for part in parts]),
        )


class PopulationBlock:
    """One block of people and their days; what is random in it comes from the seed, the block and the day alone."""

    def __init__(self, people: People, items: Items, topics: Topics, state: PeopleState | None = None) -> None:
        self.people, self.items, self.topics = people, items, topics
        self.state = PeopleState.of(people) if state is None else state

    def requests(self, day: int) -> Requests:
        """What the block asks for on a day, in the state it is in."""
        spec = self.items.spec
        visits, rng = Visits.draw(self.people, self.state, day)
        shelf = Shelf.of(self.items, self.topics, day)
        return Requests(
            visits, turn_pages(visits, rng), shelf, stream(spec.seed, Stream.POLICY, self.people.block, day)
        )

    def pass_day(self, day: int, policy: Policy) -> SimulatedDay:
        """What people ask for, what the policy shows them, and what they do; the state moves on to the next day."""
        requests = self.requests(day)
        slates = policy(requests)
        requests.check(slates)
        chances = click_probabilities(requests, self.state, slates)
        rng = stream(self.items.spec.seed, Stream.REACTIONS, self.people.block, day)
        clicks = draw_clicks(requests, slates, chances, rng)
        opened = SimulatedEvents.concat([clicks, draw_views(requests.visits, requests.shelf, self.state, rng)])
        events = SimulatedEvents.concat(
            [
                follow_up(opened, self.items, self.people, self.state, rng),
                recommend_to_friends(self.people, requests.shelf, self.state, rng),
            ]
        )
        update_state(self.state, requests, slates, opened, self.items)
        stands = slates.item_numbers != EMPTY
        return SimulatedDay(
            table_of(events, requests, requests.table["request_id"]),
            _impressions(requests, slates),
            chances[stands],
        )


class World:
    """All people of a spec, in memory; `world_files.write_world` writes large worlds without keeping them."""

    def __init__(self, spec: WorldSpec, states: Sequence[PeopleState] | None = None, today: int = 0) -> None:
        self.spec = spec
        self.topics = Topics.draw(spec)
        self.items = Items.draw(spec, self.topics)
        self.today = today
        self._blocks = [
            PopulationBlock(
                People.draw(spec, self.topics, number),
                self.items,
                self.topics,
                None if states is None else states[number],
            )
            for number in range(n_blocks(spec))
        ]

    @classmethod
    def create(cls, kind: WorldKind | str, n_users: int, n_items: int, n_days: int, seed: int) -> World:
        """A world on the morning of its first day; raises SettingsError for a size that no world can have."""
        return cls(WorldSpec(world_kind(kind), n_users, n_items, n_days, seed))

    def day(self, policy: Policy = logging_policy) -> SimulatedDay:
        """What happens today; tomorrow is the next one. The policy is called once per block of people (see Requests).

        Raises DataTooSmall after the last day, ShapeMismatch or UnknownId where the policy's answer is none.
        """
        if self.today >= self.spec.n_days:
            raise DataTooSmall(f"This world ends after {self.spec.n_days} days.", "Create one of more `n_days`.")
        parts = [block.pass_day(self.today, policy) for block in self._blocks]
        self.today += 1
        return SimulatedDay.concat(parts)

    def days(self, policy: Policy = logging_policy) -> Iterator[SimulatedDay]:
        """The days that are left."""
        while self.today < self.spec.n_days:
            yield self.day(policy)

    def expected_clicks(self, policy: Policy) -> float:
        """Clicks per request that a policy's slates would get today on average; nothing happens, nobody remembers."""
        total, n_requests = 0.0, 0
        for block in self._blocks:
            requests = block.requests(self.today)
            slates = policy(requests)
            requests.check(slates)
            total += float(click_probabilities(requests, block.state, slates).sum())
            n_requests += len(requests)
        return total / max(n_requests, 1)

    def click_probabilities(
        self,
        user_ids: Sequence[str],
        item_ids: Sequence[Sequence[str]],
        device: str = DEVICES[0],
        day_part: str = DAY_PARTS[1],
    ) -> Iterator[npt.NDArray[np.float64]]:
        """For each person, the chance of a click on each item of a slate that is shown to them today, in its order.

        Raises UnknownId for somebody, or something, that this world has not seen by today.
        """
        numbers = numbers_of(USER, user_ids)
        for user_id, number, slate in zip(user_ids, numbers.tolist(), item_ids, strict=True):
            if not 0 <= number < self.spec.n_users:
                raise UnknownId(f"This world has no person {user_id!r}.", "Name one of its `users`.")
            block = self._blocks[number // BLOCK]
            requests = _one_request(block, self.today, number % BLOCK, device, day_part)
            answer = requests.slates([slate], "asked")
            yield click_probabilities(requests, block.state, answer)[0]

    def examination(self, k: int) -> npt.NDArray[np.float64]:
        """(k,) the chance that an item is looked at, by position from the first."""
        return examination(self.spec.nature, k)

    def users(self) -> pl.DataFrame:
        """The canonical `users` table, with who brought whom; also those who are still to come."""
        return pl.concat([block.people.table() for block in self._blocks])

    def tastes(self) -> Floats:
        """(n_users, n_topics) what everybody likes by now, in the order of `users`; rows sum to 1."""
        return np.concatenate([block.state.taste for block in self._blocks])

    @property
    def states(self) -> list[PeopleState]:
        """What changes, a block after the other."""
        return [block.state for block in self._blocks]

    def items_table(self) -> pl.DataFrame:
        """The canonical `items` table, also those that are still to come; in the order of item_id."""
        return pl.concat(list(item_tables(self.items))).sort("item_id")


def _one_request(block: PopulationBlock, day: int, position: int, device: str, day_part: str) -> Requests:
    """One page for one person at noon."""
    visits = Visits(
        block.people,
        day,
        np.array([position]),
        np.array([day * MICROSECONDS_PER_DAY + NOON_HOURS * 3_600 * MICROSECONDS_PER_SECOND]),
        np.array([DEVICES.index(device)], np.int8),
        np.array([DAY_PARTS.index(day_part)], np.int8),
        np.array([ENTRY_PAGES.index("home")], np.int8),
        np.array([1]),
    )
    nothing = np.zeros(1, np.int64)
    pages = Pages(nothing, nothing, visits.start_us)
    rng = stream(block.items.spec.seed, Stream.POLICY, block.people.block, day)
    return Requests(visits, pages, Shelf.of(block.items, block.topics, day), rng)


def _impressions(requests: Requests, slates: Slates) -> pl.DataFrame:
    row, place = np.nonzero(slates.item_numbers != EMPTY)
    shown = {
        "item_id": requests.item_ids.gather(pl.Series(slates.item_numbers[row, place].astype(np.int64))),
        "position": pl.Series((place + 1).astype(np.int32)),
        "propensity": pl.Series(slates.propensities[row, place]),
        "policy_id": pl.repeat(slates.policy_id, len(row), dtype=pl.String, eager=True),
    }
    shown_at = requests.table.rename({"ts": "event_ts"}).drop("page")[row]
    first = ("request_id", "user_id", "session_id", "item_id", "event_ts", "position", "propensity", "policy_id")
    return shown_at.with_columns(**shown).select(*first, "device", "day_part", "entry_page")
