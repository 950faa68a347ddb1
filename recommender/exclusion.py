"""Which items are not proposed to a person, because of what they did with them: one rule, wherever slates are made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from contracts.calendar import SECONDS_PER_DAY
from contracts.events import EVENT_CODES, UNSPECIFIED_TYPE, EventType
from contracts.features import History, OlderEvents
from contracts.ids import ItemIdxArray


@dataclass(frozen=True)
class ExclusionRule:
    """Which events keep their item out of slates, and for how long.

    codes: of the types of these events, none for all; days: since the event, None for ever. An event whose type is not
    known counts like one that excludes.

    >>> bought = History(np.array([4], np.int32), np.array([0]), np.array([4], np.uint8), np.array([1], np.float32))
    >>> ExclusionRule(days=2).items(bought, OlderEvents.empty(), now=2 * 86_400 - 1).tolist()
    [4]
    >>> ExclusionRule(days=2).items(bought, OlderEvents.empty(), now=2 * 86_400).tolist()
    []
    """

    codes: tuple[int, ...] = ()
    days: float | None = None

    @classmethod
    def of(cls, excluding_events: Iterable[EventType] | None, excluded_days: float | None) -> ExclusionRule:
        """The rule that the parameters of these names in the group `request` state."""
        return cls(tuple(sorted(EVENT_CODES[event_type] for event_type in excluding_events or ())), excluded_days)

    def items(self, history: History, older: OlderEvents, now: int) -> ItemIdxArray:
        """The items that are excluded at `now` (epoch seconds), ascending, each once."""
        parts = [events.item_idx[self._excludes(events, now)] for events in (history, older)]
        return np.unique(np.concatenate(parts)).astype(np.int32, copy=False)

    def _excludes(self, events: History | OlderEvents, now: int) -> npt.NDArray[np.bool_]:
        chosen = np.ones(len(events), bool)
        if self.codes:
            chosen &= np.isin(events.event_types, (*self.codes, UNSPECIFIED_TYPE))
        if self.days is not None:
            chosen &= events.event_ts > now - self.days * SECONDS_PER_DAY
        return chosen


FOR_EVER: Final = ExclusionRule()
