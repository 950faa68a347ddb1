"""People who visit an application with a canary, and what its servers log of them: true by construction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import orjson

from contracts.settings.canary import CanarySettings
from feature_store.online.connection import Client
from feature_store.online.keys import events_key
from feature_store.online.serving_targets import Canary
from release.canary.canary_run import CanaryRun, SharePeriod
from release.canary.sums import CANARY as CANARY_ARM
from release.canary.sums import SETTLING, CanarySums, Cells, Count

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
LIMITS = CanarySettings(min_people=200, max_click_loss=0.1, max_degraded_share=0.02, srm_alpha=0.001)
CANARY = Canary("r-candidate", "g-candidate", share=0.3, salt="s", started_ts=int(START.timestamp()))
PRODUCTION = "r-production"


def run_of(*shares: float, hours: float = 1, canary: Canary = CANARY) -> CanaryRun:
    """A canary that runs, its share changed every so many hours."""
    starts = [START + timedelta(hours=hours * at) for at in range(len(shares))]
    ends = [*starts[1:], None]
    periods = tuple(SharePeriod(*one) for one in zip(shares, starts, ends, strict=True))
    return CanaryRun(replace(canary, share=shares[-1]), 2, PRODUCTION, periods)


def impression(request_id: str, position: int = 1, **changes: Any) -> bytes:
    """One item shown, as the server logs it."""
    fields = {
        "event_type": "impression",
        "event_ts": "1998-04-22T23:10:38+00:00",  # on the release's own clock
        "request_id": request_id,
        "user_id": "ann",
        "session_id": None,
        "surface": "home",
        "policy_id": "ranker",
        "release_id": PRODUCTION,
        "generation_id": "g",
        "tier": "personal",
        "degraded": [],
        "arm": "production",
        "event_id": f"{request_id}:{position}",
        "item_id": f"i{position}",
        "position": position,
        "propensity": 1.0,
    }
    return orjson.dumps({**fields, **changes})


def click(request_id: str | None, item_id: str = "i1", **changes: Any) -> bytes:
    """One click, as the server logs it."""
    fields = {
        "event_type": "click",
        "event_ts": "1998-04-22T23:10:39+00:00",
        "request_id": request_id,
        "user_id": "ann",
        "session_id": None,
        "item_id": item_id,
        "value": None,
        "event_id": f"click:{request_id}:{item_id}",
    }
    return orjson.dumps({**fields, **changes})


@dataclass(frozen=True)
class CanaryWorld:
    """How people behave. click_share: chance that a request is clicked, by arm; lost_share: of the canary's people,
    those of whom nothing is logged; degraded_share: of the answers, by arm; n_visits: requests of a person, on average.
    """

    canary: Canary = CANARY
    beside: str = PRODUCTION
    click_share: tuple[float, float] = (0.2, 0.2)
    degraded_share: tuple[float, float] = (0.0, 0.0)
    lost_share: float = 0.0
    n_visits: float = 1.5
    slate: int = 2

    def visits(self, people: Sequence[str], rng: np.random.Generator) -> Iterator[bytes]:
        """What is logged of people who come one after the other."""
        for person in people:
            arm = int(self.canary.takes(person))
            if arm and rng.random() < self.lost_share:
                continue
            # People differ: some click at half of their requests, others at none.
            liking = rng.beta(2, 2 / self.click_share[arm] - 2)
            for visit in range(1 + rng.poisson(self.n_visits - 1)):
                yield from self._visit(person, f"{person}-{visit}-{self.canary.share}", arm, liking, rng)

    def _visit(
        self, person: str, request_id: str, arm: int, liking: float, rng: np.random.Generator
    ) -> Iterator[bytes]:
        where = {"arm": ("production", "canary")[arm], "release_id": (self.beside, self.canary.release_id)[arm]}
        degraded = ["features"] if rng.random() < self.degraded_share[arm] else []
        for position in range(1, self.slate + 1):
            yield impression(request_id, position, user_id=person, degraded=degraded, **where)
        if rng.random() < liking:
            yield click(request_id, user_id=person)


class Stream:
    """Visits in the order of time: people differ in liking, and half of them come back later."""

    def __init__(
        self,
        rng: np.random.Generator,
        click_share: tuple[float, float],
        share: float = 0.3,
        *,
        degraded_share: tuple[float, float] = (0.0, 0.0),
        lost: float = 0.0,
        n_people: int = 6000,
    ) -> None:
        arm = (rng.random(n_people) < share).astype(np.int64)
        n_visits = np.where((arm == CANARY_ARM) & (rng.random(n_people) < lost), 0, 1 + rng.poisson(0.7, n_people))
        self.person = np.repeat(np.arange(n_people), n_visits)
        came = np.arange(n_people)[self.person]
        later = rng.random(len(came)) * (n_people - came)
        self.ts = came + np.where(np.diff(self.person, prepend=-1) > 0, 0, later)
        mean = np.array(click_share)[arm]
        self.clicked = rng.random(len(came)) < rng.beta(2, 2 / mean - 2)[self.person]
        self.degraded = rng.random(len(came)) < np.array(degraded_share)[arm][self.person]
        self.arm, self.n_people = arm, n_people

    def cells(self, until: float) -> Cells:
        """What the log adds up to until a moment."""
        here = self.ts <= until
        sums = {
            Count.REQUESTS: np.ones(here.sum()),
            Count.CLICKED_REQUESTS: self.clicked[here],
            Count.DEGRADED: self.degraded[here],
        }
        counted = {name: np.bincount(self.person[here], values, self.n_people) for name, values in sums.items()}
        seen = counted[Count.REQUESTS] > 0
        counts = {count: counted.get(count, counted[Count.REQUESTS])[seen] for count in Count}
        person = np.flatnonzero(seen).astype(np.uint64)
        return Cells(person, self.arm[seen], np.zeros(len(person), np.int64), counts)

    def looks(self, n_looks: int = 40) -> Iterator[Cells]:
        """What it adds up to at so many moments, as far apart from each other."""
        return (self.cells(until) for until in np.linspace(self.n_people / n_looks, self.n_people, n_looks))


def settled_ms(after: datetime = START) -> int:
    """The first millisecond that counts after a change."""
    return int((after + SETTLING).timestamp() * 1000)


def count(sums: CanarySums, records: Sequence[bytes], ms: int | None = None) -> CanarySums:
    """Count records that were all written at one moment."""
    moment = settled_ms() if ms is None else ms
    sums.add([moment] * len(records), records)
    return sums


@dataclass
class Log:
    """An application's event log in a real Redis, written at moments that the test says."""

    client: Client
    app: str
    _sequence: dict[int, int] = field(default_factory=dict)

    def write(self, records: Sequence[bytes], ms: int) -> None:
        """Write records as Redis would have at this millisecond."""
        first = self._sequence.get(ms, 0)
        with self.client.pipeline(transaction=False) as pipeline:
            for at, record in enumerate(records):
                pipeline.xadd(events_key(self.app), {"record": record}, id=f"{ms}-{first + at}")
            pipeline.execute()
        self._sequence[ms] = first + len(records)


def cells(arm: Sequence[int], **counts: Sequence[float]) -> Cells:
    """Counts of people who were in one arm each, all at one share."""
    n_people = len(arm)
    zeros = np.zeros(n_people)
    return Cells(
        np.arange(n_people, dtype=np.uint64),
        np.asarray(arm, np.int64),
        np.zeros(n_people, np.int64),
        {count: np.asarray(counts.get(count, zeros), np.float64) for count in Count},
    )
