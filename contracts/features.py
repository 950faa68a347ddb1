"""What a feature is between the rooms: its schema, its rows, and whoever can read them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any, Final, NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt

from contracts.calendar import MICROSECONDS_PER_SECOND
from contracts.events import UNSPECIFIED_TYPE
from contracts.fingerprint import fingerprint_json
from contracts.ids import (
    EpochMicroseconds,
    EpochSeconds,
    EventCodes,
    FloatArray,
    ItemId,
    ItemIdxArray,
    SessionId,
    UserId,
)

OWNER: Final = "recommendations"  # of every view that Slatework comes with
MAX_VALUE = 3e38  # a float32 holds no more
MAX_TTL_DAYS = 1e6  # longer than any data, and short enough for a timedelta


class Entity(StrEnum):
    """What a feature describes."""

    USER = "user"
    ITEM = "item"


@dataclass(frozen=True)
class FeatureSpec:
    """One feature: its name, the value that stands for a missing one (learnt in training), and when it grows old."""

    name: str
    default: float
    ttl_days: float


@dataclass(frozen=True)
class FeatureSchema:
    """The features of one entity, in the order of a row."""

    entity: Entity
    features: tuple[FeatureSpec, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(spec.name for spec in self.features)

    @cached_property
    def columns(self) -> Mapping[str, int]:
        """By name, where a feature stands in a row."""
        return {name: at for at, name in enumerate(self.names)}

    @cached_property
    def defaults(self) -> FloatArray:
        """(n_features,) what a missing value becomes; read-only."""
        defaults = np.array([spec.default for spec in self.features], dtype=np.float32)
        defaults.setflags(write=False)
        return defaults

    @cached_property
    def ttls(self) -> tuple[timedelta, ...]:
        """How old a value of each feature may be."""
        return tuple(timedelta(days=spec.ttl_days) for spec in self.features)

    @property
    def fingerprint(self) -> str:
        return fingerprint_json(self.to_json())

    @cached_property
    def layout(self) -> str:
        """The fingerprint of what a stored row must be read with: the entity and the names in order."""
        return fingerprint_json({"entity": str(self.entity), "names": list(self.names)})

    def to_json(self) -> dict[str, Any]:
        return {"entity": str(self.entity), "features": [asdict(spec) for spec in self.features]}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> FeatureSchema:
        """What `to_json` gave; raises ValueError, TypeError or KeyError for anything else."""
        features = tuple(FeatureSpec(**spec) for spec in value["features"])
        for spec in features:
            numbers = (spec.default, spec.ttl_days)
            if not isinstance(spec.name, str) or not all(type(number) in (int, float) for number in numbers):
                raise ValueError(f"{spec} is no feature: expected a name and two numbers")
            if not abs(spec.default) < MAX_VALUE or not 0 < spec.ttl_days < MAX_TTL_DAYS:
                raise ValueError(f"{spec} is no feature: its default or its TTL is out of range")
        return cls(Entity(value["entity"]), features)


@dataclass(frozen=True)
class FeatureRows:
    """Feature values of several entities, defaults already filled in.

    values: (n_entities, n_features) float32, columns in the schema's order.
    known: (n_entities,) False where the entity had no row and the whole row is defaults.
    """

    values: FloatArray
    known: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ReadRows(FeatureRows):
    """Feature rows as a reader found them, so that what was read can be told from what was filled in.

    missing: (n_entities, n_features) True where there was no value, or one past its TTL, and a default stands.
    written: (n_entities,) epoch seconds at which each row was true, 0 where it is not known.
    n_lost: rows that were published, and are not in the store any more or are damaged there; they are not `known`.
    """

    missing: npt.NDArray[np.bool_]
    written: npt.NDArray[np.int64]
    n_lost: int = 0

    def row(self, at: int) -> ReadRows:
        """One of the rows alone; which of them were lost is not known of a row."""
        one = slice(at, at + 1)
        return ReadRows(self.values[one], self.known[one], self.missing[one], self.written[one])


class _EventArrays:
    """Events as arrays of one length: how they are chosen from and joined."""

    def where(self, chosen: slice | npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> Self:
        """The events chosen, in the order chosen."""
        return type(self)(**{name: array[chosen] for name, array in vars(self).items()})

    def followed_by(self, later: Self) -> Self:
        """These events, and then the later ones."""
        return type(self)(**{name: np.concatenate([array, vars(later)[name]]) for name, array in vars(self).items()})


@dataclass(frozen=True)
class History(_EventArrays):
    """What one person did, oldest first, but for purchases that were taken back; the arrays are aligned.

    item_idx: (n_events,) dense ids of the release that reads them; event_ts: epoch seconds; event_types: codes (see
    contracts.events), UNSPECIFIED_TYPE where it is not known; values: ratings, NaN where an event has none.
    """

    item_idx: ItemIdxArray
    event_ts: EpochSeconds
    event_types: EventCodes
    values: FloatArray

    def __len__(self) -> int:
        return len(self.item_idx)

    @classmethod
    def empty(cls) -> History:
        return cls.without_types(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float32))

    @classmethod
    def without_types(cls, item_idx: ItemIdxArray, event_ts: EpochSeconds, values: FloatArray) -> History:
        """Events whose types are not known."""
        return cls(item_idx, event_ts, np.full(len(item_idx), UNSPECIFIED_TYPE, np.uint8), values)


@dataclass(frozen=True)
class OlderEvents(_EventArrays):
    """What a history does not hold: of each item and type the last event, where that is not in it.

    It was too long ago, or taken back.

    item_idx: (n_events,) dense ids, ascending; event_ts: epoch seconds; event_types: codes, ascending within an item.
    """

    item_idx: ItemIdxArray
    event_ts: EpochSeconds
    event_types: EventCodes

    def __len__(self) -> int:
        return len(self.item_idx)

    @classmethod
    def empty(cls) -> OlderEvents:
        return cls(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.uint8))


@dataclass(frozen=True)
class RecentEvents(_EventArrays):
    """What was done lately, in the order it came in; the arrays are aligned.

    item_idx: (n_events,) dense ids of the release that reads them; negative where it does not know the item, and the
    same number for the same item; event_us: epoch microseconds; event_types, values: as in a history, and returns.
    """

    item_idx: ItemIdxArray
    event_us: EpochMicroseconds
    event_types: EventCodes
    values: FloatArray

    def __len__(self) -> int:
        return len(self.item_idx)

    @classmethod
    def empty(cls) -> RecentEvents:
        return cls.of(History.empty())

    @classmethod
    def of(cls, history: History) -> RecentEvents:
        """The events of a history, which tells whole seconds."""
        return cls(history.item_idx, history.event_ts * MICROSECONDS_PER_SECOND, history.event_types, history.values)

    @property
    def event_ts(self) -> EpochSeconds:
        """Epoch seconds, rounded down as in a history."""
        return self.event_us // MICROSECONDS_PER_SECOND


@dataclass(frozen=True)
class Person:
    """What the store knows of one person.

    features: one row, as it was published or, after `feature_store.readers.live_features`, as of the request.
    history: what they did before that row was written, the latest of it. session: what was done in this session, by
    whomever. recent: what the person did of late in any session; some of it may be in the history already.
    n_lost: of the row and the history, how many were published, and are not in the store any more or are damaged there.
    older: what the history does not hold.
    """

    features: ReadRows
    history: History
    session: RecentEvents
    recent: RecentEvents
    n_lost: int = 0
    older: OlderEvents = field(default_factory=OlderEvents.empty)


class Visitor(NamedTuple):
    """Who asks: a person, a session, both or neither."""

    user_id: UserId | None = None
    session_id: SessionId | None = None


class FeatureReader(Protocol):
    """Reads feature values of one generation. Implementations: online (Redis), offline (tables), degraded (defaults).

    Raises StoreUnavailable when the store cannot be reached in time; an unknown id is not an error.
    """

    @property
    def generation_id(self) -> str: ...

    def read_person(self, user_id: UserId | None, session_id: SessionId | None, now: datetime) -> Person:
        """One person's features, history, session and recent events in one round trip.

        Defaults and empty where nothing is known.
        """
        ...

    def read_people(self, visitors: Sequence[Visitor], now: datetime) -> list[Person]:
        """What `read_person` gives for each of them, in their order; all of them in one round trip."""
        ...

    def read_items(self, item_ids: Sequence[ItemId], now: datetime) -> ReadRows:
        """The items' feature rows in the order asked, in one round trip."""
        ...


class ReadsPeopleInTurn(ABC):
    """`read_people` of a reader to whom many people are no cheaper than each of them."""

    def read_people(self, visitors: Sequence[Visitor], now: datetime) -> list[Person]:
        """Each of them, one after the other."""
        return [self.read_person(*visitor, now) for visitor in visitors]

    @abstractmethod
    def read_person(self, user_id: UserId | None, session_id: SessionId | None, now: datetime) -> Person:
        """The reader's own."""


def fill_missing(schema: FeatureSchema, values: FloatArray) -> FloatArray:
    """Replace NaN by the schema's default of its column: the one rule for missing values, in training and serving."""
    return np.where(np.isnan(values), schema.defaults, values).astype(np.float32, copy=False)


def expire(schema: FeatureSchema, values: FloatArray, written: datetime, now: datetime) -> FloatArray:
    """Turn values past their feature's TTL into NaN: old is missing, not zero."""
    age = now - written
    too_old = np.array([age > ttl for ttl in schema.ttls], dtype=bool)
    return np.where(too_old, np.float32(np.nan), values).astype(np.float32, copy=False)
