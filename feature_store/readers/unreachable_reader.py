"""The reader of an online store that is known to be away."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.errors import StoreUnavailable
from contracts.features import Person, ReadRows


@dataclass(frozen=True)
class UnreachableStoreReader:
    """The FeatureReader of a store known to be away: it refuses at once, so that no request waits for a timeout."""

    generation_id: str
    problem: str
    next_step: str

    def read_person(self, *_arguments: object, **_named: object) -> Person:
        """Raises StoreUnavailable."""
        raise StoreUnavailable(self.problem, self.next_step)

    def read_people(self, *_arguments: object, **_named: object) -> list[Person]:
        """Raises StoreUnavailable."""
        raise StoreUnavailable(self.problem, self.next_step)

    def read_items(self, *_arguments: object, **_named: object) -> ReadRows:
        """Raises StoreUnavailable."""
        raise StoreUnavailable(self.problem, self.next_step)
