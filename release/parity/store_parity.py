"""Feature parity: what the online store answers for a release is what its bundle says, value by value.

People and items are drawn by the generation alone, so that whoever asks again asks about the same ones. Somebody who
does not exist is asked about too: nobody may answer for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

import numpy as np

from contracts.features import Entity, FeatureReader, FeatureRows, FeatureSchema, History, OlderEvents
from contracts.fingerprint import fingerprint_json
from contracts.ids import ItemId, UserId
from feature_store.values.values import FeatureSchemas, FeatureValues

NOBODY: Final = "somebody-who-does-not-exist"


class ParityFault(StrEnum):
    """How a key differs online from what it is offline."""

    MISMATCH = "mismatch"
    MISSING = "missing"
    EXTRA = "extra"


@dataclass
class StoreParity:
    """What the comparison says: keys asked about, keys at fault by kind, and the first fault in words."""

    n_keys: int = 0
    counts: dict[ParityFault, int] = field(default_factory=lambda: dict.fromkeys(ParityFault, 0))
    first: str = ""

    def note(self, fault: ParityFault, words: str) -> None:
        """Count a fault; the first one's words are kept."""
        self.counts[fault] += 1
        self.first = self.first or f"{fault}: {words}"

    @property
    def n_faults(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True)
class ParitySample:
    """Whom and what is asked about, in the order of their ids."""

    people: list[UserId]
    items: list[ItemId]

    @classmethod
    def draw(cls, values: FeatureValues, n: int) -> ParitySample:
        """At most n people and n items of the values, and one of each that does not exist."""
        people = _draw(values.ids(Entity.USER), n, values.generation_id, Entity.USER)
        items = _draw(values.ids(Entity.ITEM), n, values.generation_id, Entity.ITEM)
        return cls([UserId(one) for one in people], [ItemId(one) for one in items])


def check_store_parity(
    online: FeatureReader, offline: FeatureReader, schemas: FeatureSchemas, sample: ParitySample, now: datetime
) -> StoreParity:
    """Read the sample through both readers at the same moment, and compare every value exactly.

    Raises as the readers do.
    """
    parity = StoreParity()
    for user_id in sample.people:
        stored, expected = (reader.read_person(user_id, None, now) for reader in (online, offline))
        _compare_rows(parity, schemas.user, [user_id], stored.features, expected.features)
        _compare_histories(parity, user_id, stored.history, expected.history)
        _compare_older(parity, user_id, stored.older, expected.older)
    stored_items, expected_items = (reader.read_items(sample.items, now) for reader in (online, offline))
    _compare_rows(parity, schemas.item, sample.items, stored_items, expected_items)
    return parity


def _draw(ids: Sequence[str], n: int, generation_id: str, entity: Entity) -> list[str]:
    rng = np.random.default_rng(int(fingerprint_json([generation_id, str(entity)]), 16))
    chosen = rng.choice(len(ids), min(n, len(ids)), replace=False)
    return sorted({ids[position] for position in chosen} | {NOBODY})


def _compare_rows(
    parity: StoreParity, schema: FeatureSchema, ids: Sequence[str], stored: FeatureRows, expected: FeatureRows
) -> None:
    for position, entity_id in enumerate(ids):
        parity.n_keys += 1
        key = f"{schema.entity} {entity_id!r}"
        if stored.known[position] != expected.known[position]:
            fault = ParityFault.EXTRA if stored.known[position] else ParityFault.MISSING
            first_feature = next(iter(schema.names), "no feature")
            parity.note(fault, f"the row of {key}, from {first_feature} on, is {_where_it_is(fault)}.")
            continue
        online, offline = stored.values[position], expected.values[position]
        for column in np.flatnonzero(online != offline)[:1]:
            values = f"{float(online[column])!r} online and {float(offline[column])!r} offline"
            parity.note(ParityFault.MISMATCH, f"{schema.names[column]} of {key} is {values}.")


def _compare_histories(parity: StoreParity, user_id: UserId, stored: History, expected: History) -> None:
    parity.n_keys += 1
    if _are_same(stored, expected):
        return
    if not len(stored) or not len(expected):
        fault = ParityFault.EXTRA if len(stored) else ParityFault.MISSING
        parity.note(fault, f"the history of user {user_id!r} is {_where_it_is(fault)}.")
        return
    words = f"the history of user {user_id!r} has {len(stored)} events online and {len(expected)} offline"
    parity.note(ParityFault.MISMATCH, f"{words}{'' if len(stored) != len(expected) else ', and they differ'}.")


def _compare_older(parity: StoreParity, user_id: UserId, stored: OlderEvents, expected: OlderEvents) -> None:
    same = all(np.array_equal(vars(stored)[name], array) for name, array in vars(expected).items())
    if not same:
        words = f"of user {user_id!r}, what the history does not hold is {len(stored)} events online and "
        parity.note(ParityFault.MISMATCH, f"{words}{len(expected)} offline{', and they differ' * (len(stored) > 0)}.")


def _are_same(stored: History, expected: History) -> bool:
    return (
        np.array_equal(stored.item_idx, expected.item_idx)
        and np.array_equal(stored.event_ts, expected.event_ts)
        and np.array_equal(stored.event_types, expected.event_types)
        and np.array_equal(stored.values, expected.values, equal_nan=True)
    )


def _where_it_is(fault: ParityFault) -> str:
    return "online and not offline" if fault is ParityFault.EXTRA else "offline and not online"
