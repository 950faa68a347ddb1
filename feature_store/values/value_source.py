"""Where feature values come from, a batch at a time: a folder of files (`values_folder`), or memory (`values`).

Tables are named like their files: `user`, `item`, `history` (see `values`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Literal, Protocol

import polars as pl

from contracts.features import Entity

Table = Literal["user", "item", "history"]

# The column of a history table that bundles before format version 3 do not have.
EVENT_TYPES = "event_types"
# Of the events that a history does not hold, the last of each item and type; bundles before version 4 have none.
OLDER_ITEM_IDS, OLDER_EVENT_TS, OLDER_EVENT_TYPES = OLDER = ("older_item_ids", "older_event_ts", "older_event_types")
REBUILD = "Run `dvc repro features` to build it again, or `dvc checkout` to restore it."


class ValueSource(Protocol):
    """Where a generation's values come from, in the order of their ids.

    generation_id: what the values are said to be; whether they are is known once all were read (`generation_digest`).
    """

    @property
    def generation_id(self) -> str: ...

    @property
    def as_of(self) -> datetime: ...

    @property
    def counts(self) -> dict[str, int]:
        """n_users, n_items, n_histories."""
        ...

    @property
    def has_event_types(self) -> bool:
        """Whether histories say of what type each event is."""
        ...

    @property
    def has_older_events(self) -> bool:
        """Whether there is said what histories do not hold."""
        ...

    def feature_names(self, entity: Entity) -> tuple[str, ...]:
        """The features of an entity, in the order of a row."""
        ...

    def batches(self, table: Table, n_rows: int, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """The rows of a table, at most so many at a time; these columns, or all."""
        ...
