"""Everybody of a generation, some people at a time: how slates for a million are read in flat memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl

from contracts.errors import ReleaseMismatch
from contracts.features import Person, ReadRows, RecentEvents, Visitor
from contracts.id_map import IdMap
from contracts.ids import ItemId, SessionId, UserId
from feature_store.readers.offline_reader import OfflineFeatureReader
from feature_store.values.value_source import ValueSource
from feature_store.values.values import FeatureSchemas, FeatureValues


@dataclass(frozen=True)
class PeopleChunk:
    """The rows and histories of everybody whose id lies after `after` (None: from the first on) and up to `up_to`
    (None: to the last)."""

    users: pl.DataFrame
    histories: pl.DataFrame
    after: str | None
    up_to: str | None

    @property
    def user_ids(self) -> list[str]:
        """Everybody of whom there is a row or a history, in the order of their ids."""
        return pl.concat([self.users["user_id"], self.histories["user_id"]]).unique().sort().to_list()

    def covers(self, user_id: str) -> bool:
        """Whether the id lies in this chunk, whether or not anything is known of it."""
        return (self.after is None or user_id > self.after) and (self.up_to is None or user_id <= self.up_to)


def people_chunks(source: ValueSource, n_people: int) -> Iterator[PeopleChunk]:
    """Everybody in the order of their ids, about so many at a time; the last chunk reaches to the end of all ids."""
    histories = _SortedRows(source, "history", n_people)
    after: str | None = None
    for users in source.batches("user", n_people):
        up_to = str(users["user_id"][-1])
        yield PeopleChunk(users, histories.up_to(up_to), after, up_to)
        after = up_to
    none = next(source.batches("user", 1), pl.DataFrame(schema={"user_id": pl.String})).clear()
    yield PeopleChunk(none, histories.up_to(None), after, None)


class _SortedRows:
    """The rows of a table of people, which are taken in the order of their ids."""

    def __init__(self, source: ValueSource, table: str, n_rows: int) -> None:
        self._batches = source.batches(table, n_rows)  # type: ignore[arg-type]  # one of the names of a Table
        self._waiting = next(self._batches, pl.DataFrame(schema={"user_id": pl.String}))

    def up_to(self, user_id: str | None) -> pl.DataFrame:
        """The rows not taken yet of people up to this id; all of them for None."""
        taken = []
        while True:
            own = self._waiting if user_id is None else self._waiting.filter(pl.col("user_id") <= user_id)
            taken.append(own)
            if own.height < self._waiting.height:
                self._waiting = self._waiting[own.height :]
                break
            following = next(self._batches, None)
            if following is None:
                self._waiting = self._waiting.clear()
                break
            self._waiting = following
        return pl.concat(taken)


class ChunkReader:
    """Reads the people of one chunk at a time, and all items, from the values of a generation.

    source: whose items are read once and kept; item_ids: the map of the release that reads.
    Raises ReleaseMismatch when the values have other features than the schemas.
    """

    def __init__(self, source: ValueSource, schemas: FeatureSchemas, item_ids: IdMap) -> None:
        self.generation_id = source.generation_id
        self._as_of, self._schemas, self._item_ids = source.as_of, schemas, item_ids
        self._no_items = FeatureValues(
            users=_emptied(source, "user"),
            items=_emptied(source, "item"),
            histories=_emptied(source, "history"),
            as_of=source.as_of,
        )
        items = pl.concat([self._no_items.items, *source.batches("item", 65_536)])
        self._items = self._reader(replace(self._no_items, items=items))
        self._people = self._reader(self._no_items)
        self._recent: Mapping[str, RecentEvents] = {}

    def _reader(self, values: FeatureValues) -> OfflineFeatureReader:
        return OfflineFeatureReader(values, self._schemas, self._item_ids, self.generation_id)

    def take(self, chunk: PeopleChunk, recent: Mapping[str, RecentEvents]) -> None:
        """Read these people from now on; recent: what they did of late, by user_id, empty where nothing."""
        users = chunk.users if chunk.users.height else self._no_items.users
        histories = chunk.histories if chunk.histories.height else self._no_items.histories
        self._people = self._reader(replace(self._no_items, users=users, histories=histories))
        self._recent = recent

    def read_person(self, user_id: UserId | None, session_id: SessionId | None, now: datetime) -> Person:
        """One person of the chunk; defaults and empty for anybody else. Sessions are empty: nobody is clicking."""
        return self.read_people([Visitor(user_id, session_id)], now)[0]

    def read_people(self, visitors: Sequence[Visitor], now: datetime) -> list[Person]:
        """The same of each of them, in their order."""
        people = self._people.read_people(visitors, now)
        return [self._with_recent(visitor.user_id, person) for visitor, person in zip(visitors, people, strict=True)]

    def _with_recent(self, user_id: UserId | None, person: Person) -> Person:
        recent = None if user_id is None else self._recent.get(user_id)
        return person if recent is None else replace(person, recent=recent)

    def read_items(self, item_ids: Sequence[ItemId], now: datetime) -> ReadRows:
        """The items' feature rows in the order asked."""
        return self._items.read_items(item_ids, now)


def _emptied(source: ValueSource, table: str) -> pl.DataFrame:
    first = next(source.batches(table, 1), None)  # type: ignore[arg-type]  # one of the names of a Table
    if first is None:
        raise ReleaseMismatch(
            f"Generation {source.generation_id} has no rows of {table}.", "Build it again with `dvc repro features`."
        )
    return first.clear()
