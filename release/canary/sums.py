"""What the event log adds up to for one canary: counts per person, arm and time between two changes of the share.

Read in batches and held as rows of counters, so that memory grows with the people, not with the log: 36 bytes for each
person, arm and period, 27 for each of the latest requests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from contracts import logged_slates
from contracts.clock import epoch_ms
from contracts.events import EventType
from release.canary.canary_run import CanaryRun
from release.canary.keyed_rows import UNKNOWN, IntArray, KeyedRows, key_of

PRODUCTION, CANARY = 0, 1
ARMS = ("production", "canary")
# Servers look for a changed share several times a second, but load the canary's bundle for seconds; what was shown
# meanwhile is of neither share.
SETTLING = timedelta(seconds=30)
REQUESTS_REMEMBERED = 500_000  # a click on an older slate is counted as one of no known request
MOST_POSITION = 2**15 - 1  # slates are of 500 items at most
CELL_BITS: Final = 8  # of a key: the arm and the period; the other 56 name the person
MOST_PERIODS: Final = 1 << (CELL_BITS - 1)
_CELL: Final = (1 << CELL_BITS) - 1


class Count(StrEnum):
    """What is counted of each person; a request counts once, whether clicked or degraded, however many items it has."""

    REQUESTS = "requests"
    CLICKED_REQUESTS = "clicked_requests"
    IMPRESSIONS = "impressions"
    CLICKS = "clicks"
    DEGRADED = "degraded"


_PERSON = [(str(count), "i4") for count in Count]
_REQUEST = [("person_row", "i8"), ("highest", "i2"), ("clicked", "?")]


@dataclass(frozen=True)
class Cells:
    """The counts of each person in each arm and period they were in; rows of one person stand together.

    person: (n,) ascending; arm, period: (n,); counts: (n,) each.
    """

    person: npt.NDArray[np.uint64]
    arm: IntArray
    period: IntArray
    counts: Mapping[Count, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class _LoggedImpression:
    """One impression as it was logged, its person and time made out already."""

    request_key: int
    person_key: int
    arm: int
    period: int
    position: int
    degraded: bool
    tier: str
    item_key: int
    propensity: float


class CanarySums:
    """Adds up records of the event log; the same records a second time change nothing."""

    def __init__(self, run: CanaryRun) -> None:
        self._releases = (run.beside, run.canary.release_id)
        self._people = KeyedRows(_PERSON)
        self._requests = KeyedRows(_REQUEST, REQUESTS_REMEMBERED)
        self._clicks = KeyedRows([], REQUESTS_REMEMBERED)
        self._items = tuple(KeyedRows([]) for _ in ARMS)
        self._propensity = [0.0 for _ in ARMS]
        self.tiers: Counter[tuple[int, str]] = Counter()
        self.left_out: Counter[str] = Counter()
        self.n_read = 0
        self.follow(run)

    def follow(self, run: CanaryRun) -> None:
        """Take up the changes of the share that were made since; call it before reading what was logged after them."""
        starts = [epoch_ms(period.since + SETTLING) for period in run.periods]
        ends = [epoch_ms(period.until) if period.until else np.iinfo(np.int64).max for period in run.periods]
        self._starts, self._ends = np.array(starts, np.int64), np.array(ends, np.int64)

    def add(self, ms: Sequence[int], records: Sequence[bytes]) -> None:
        """Count records of the log in their order. ms: when each was written.

        What does not count is counted in `left_out`, by its reason.
        """
        shown: list[_LoggedImpression] = []
        clicks: list[tuple[int, int]] = []
        periods = self._periods(ms)
        for period, record in zip(periods.tolist(), records, strict=True):
            self._sort_out(period, record, shown, clicks)
        self.n_read += len(records)
        self._count_shown(shown)
        self._count_clicks(clicks)

    def cells(self) -> Cells:
        """What was counted, by person, arm and period."""
        keys, rows = self._people.in_order_of_keys()
        cell = (keys & np.uint64(_CELL)).astype(np.int64)
        counts = {count: rows[count].astype(np.float64) for count in Count}
        return Cells(keys >> np.uint64(CELL_BITS), cell // MOST_PERIODS, cell % MOST_PERIODS, counts)

    def n_items(self, arm: int) -> int:
        """How many different items were shown."""
        return len(self._items[arm])

    def propensity(self, arm: int) -> float:
        """The sum of the propensities of what was shown."""
        return self._propensity[arm]

    def _periods(self, ms: Sequence[int]) -> IntArray:
        """The period of each moment; -1 before the first, or while servers take up a change."""
        moments = np.asarray(ms, np.int64)
        periods = np.searchsorted(self._starts, moments, side="right") - 1
        return np.where((periods >= 0) & (moments < self._ends[periods]), periods, UNKNOWN)

    def _sort_out(
        self, period: int, record: bytes, shown: list[_LoggedImpression], clicks: list[tuple[int, int]]
    ) -> None:
        try:
            fields = orjson.loads(record)
            match fields["event_type"]:
                case EventType.IMPRESSION | logged_slates.SLATE:
                    reason = self._reason_left_out(period, fields)
                    if not reason:
                        shown += [_logged_impression(period, one) for one in logged_slates.single_records(fields)]
                        return
                case EventType.CLICK if fields["request_id"] is not None:
                    clicks.append(_click_keys(fields))
                    return
                case EventType.CLICK:
                    reason = "clicks that name no request"
                case _:
                    reason = "other events"
        except (ValueError, KeyError, TypeError):
            reason = "unreadable"
        self.left_out[reason] += 1

    def _reason_left_out(self, period: int, fields: dict[str, Any]) -> str:
        arm = fields.get("arm")
        if arm not in ARMS or fields["release_id"] != self._releases[ARMS.index(arm)]:
            return "of other releases"
        if fields["user_id"] is None and fields["session_id"] is None:
            return "of nobody known"
        return "outside the time compared" if period == UNKNOWN else ""

    def _count_shown(self, shown: Sequence[_LoggedImpression]) -> None:
        shown = list({(one.request_key, one.position): one for one in shown}.values())
        if not shown:
            return
        people = self._people.add(_key_array([_cell_key(one) for one in shown]))
        requests = self._requests.add(_key_array([one.request_key for one in shown]))
        highest = self._requests.column("highest")
        # A log that was written again brings positions that were seen; a slate's are logged in their order.
        fresh = np.array([one.position for one in shown]) > highest[requests]
        self._count_new_requests(shown, people, requests, fresh & (highest[requests] == 0))
        np.maximum.at(highest, requests, np.array([one.position for one in shown], np.int16))
        np.add.at(self._people.column(Count.IMPRESSIONS), people[fresh], 1)
        self._count_items([one for one, is_fresh in zip(shown, fresh.tolist(), strict=True) if is_fresh])

    def _count_new_requests(
        self, shown: Sequence[_LoggedImpression], people: IntArray, requests: IntArray, new: npt.NDArray[np.bool_]
    ) -> None:
        _, first = np.unique(requests[new], return_index=True)
        at = np.flatnonzero(new)[first]
        self._requests.column("person_row")[requests[at]] = people[at]
        np.add.at(self._people.column(Count.REQUESTS), people[at], 1)
        degraded = np.array([one.degraded for one in shown])
        np.add.at(self._people.column(Count.DEGRADED), people[at], degraded[at])
        self.tiers.update((shown[place].arm, shown[place].tier) for place in at.tolist())

    def _count_items(self, shown: Sequence[_LoggedImpression]) -> None:
        for arm, items in enumerate(self._items):
            in_arm = [one for one in shown if one.arm == arm]
            items.add(_key_array([one.item_key for one in in_arm]))
            self._propensity[arm] += sum(one.propensity for one in in_arm)

    def _count_clicks(self, clicks: Sequence[tuple[int, int]]) -> None:
        """clicks: the key of the request, and of the request with the item."""
        clicks = list(dict.fromkeys(clicks))
        requests = self._requests.find(_key_array([request for request, _ in clicks]))
        known, unseen = requests != UNKNOWN, self._clicks.find(_key_array([click for _, click in clicks])) == UNKNOWN
        self.left_out["clicks on slates that do not count"] += int(np.count_nonzero(~known))
        counted = known & unseen
        self._clicks.add(_key_array([click for (_, click), is_new in zip(clicks, counted, strict=True) if is_new]))
        rows = requests[counted]
        person_rows = self._requests.column("person_row")
        np.add.at(self._people.column(Count.CLICKS), person_rows[rows], 1)
        clicked = self._requests.column("clicked")
        first = np.unique(rows[~clicked[rows]])
        np.add.at(self._people.column(Count.CLICKED_REQUESTS), person_rows[first], 1)
        clicked[first] = True


def _logged_impression(period: int, fields: Mapping[str, Any]) -> _LoggedImpression:
    user_id, session_id, position = fields["user_id"], fields["session_id"], int(fields["position"])
    if not 1 <= position <= MOST_POSITION:
        raise ValueError(position)
    return _LoggedImpression(
        request_key=key_of(str(fields["request_id"])),
        person_key=key_of(str(session_id if user_id is None else user_id)),
        arm=ARMS.index(fields["arm"]),
        period=period,
        position=position,
        degraded=bool(fields["degraded"]),
        tier=str(fields["tier"]),
        item_key=key_of(str(fields["item_id"])),
        propensity=float(fields["propensity"]),
    )


def _click_keys(fields: dict[str, Any]) -> tuple[int, int]:
    request_id = str(fields["request_id"])
    return key_of(request_id), key_of(f"{request_id}\n{fields['item_id']}")


def _cell_key(shown: _LoggedImpression) -> int:
    return (shown.person_key & ~_CELL) | (shown.arm * MOST_PERIODS + shown.period)


def _key_array(keys: Sequence[int]) -> npt.NDArray[np.uint64]:
    return np.array(keys, np.uint64)
