"""Histories of many people as three long arrays: what the offline reader slices and publishing packs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl
import polars.selectors as cs

from contracts.errors import ReleaseMismatch
from contracts.events import UNSPECIFIED_TYPE
from contracts.features import History, OlderEvents
from contracts.id_map import UNKNOWN, IdMap
from contracts.ids import EventCodes, ItemIdxArray
from feature_store.values.value_source import EVENT_TYPES, OLDER, OLDER_EVENT_TS, OLDER_EVENT_TYPES, OLDER_ITEM_IDS


class EventsByPerson:
    """Everybody's events, dense ids inside.

    histories: as `values.HISTORY_SCHEMA`. Raises ReleaseMismatch when they hold an item that `item_ids` does not know.
    """

    def __init__(self, histories: pl.DataFrame, item_ids: IdMap) -> None:
        self.user_ids: list[str] = histories["user_id"].to_list()
        self._events, lengths = events_of(histories, item_ids)
        self._slices = _slices(self.user_ids, lengths)
        self._older, older_lengths = older_events_of(histories, item_ids)
        self._older_slices = _slices(self.user_ids, older_lengths)

    def of(self, user_id: str) -> History:
        """One person's events, oldest first; empty for somebody unknown."""
        mine = self._slices.get(user_id)
        return History.empty() if mine is None else self._events.where(mine)

    def older_of(self, user_id: str) -> OlderEvents:
        """What one person's history does not hold; empty for somebody unknown."""
        mine = self._older_slices.get(user_id)
        return OlderEvents.empty() if mine is None else self._older.where(mine)


def _slices(user_ids: list[str], lengths: npt.NDArray[np.int64]) -> dict[str, slice]:
    ends = np.cumsum(lengths)
    return {
        user_id: slice(int(start), int(end)) for user_id, start, end in zip(user_ids, ends - lengths, ends, strict=True)
    }


def events_of(histories: pl.DataFrame, item_ids: IdMap) -> tuple[History, npt.NDArray[np.int64]]:
    """The events of all rows one after the other, and how many are of each row.

    Raises ReleaseMismatch when they hold an item that `item_ids` does not know.
    """
    lengths = histories["item_ids"].list.len().to_numpy().astype(np.int64)
    rows = _exploded(histories)
    events = History(
        item_ids.indices(rows["item_ids"]),
        rows["event_ts"].to_numpy().astype(np.int64),
        _types(rows),
        rows["values"].to_numpy().astype(np.float32),
    )
    _check_known(rows["item_ids"], events.item_idx, item_ids)
    return events, lengths


def older_events_of(histories: pl.DataFrame, item_ids: IdMap) -> tuple[OlderEvents, npt.NDArray[np.int64]]:
    """What the histories of all rows do not hold, one after the other, and how many are of each row.

    Each row's are in the order of the map's indices. Raises as `events_of`.
    """
    if OLDER_ITEM_IDS not in histories.columns:
        return OlderEvents.empty(), np.zeros(histories.height, np.int64)
    lengths = histories[OLDER_ITEM_IDS].list.len().to_numpy().astype(np.int64)
    rows = histories.select(OLDER).explode(OLDER, empty_as_null=False)
    events = OlderEvents(
        item_ids.indices(rows[OLDER_ITEM_IDS]),
        rows[OLDER_EVENT_TS].to_numpy().astype(np.int64),
        rows[OLDER_EVENT_TYPES].to_numpy().astype(np.uint8),
    )
    _check_known(rows[OLDER_ITEM_IDS], events.item_idx, item_ids)
    person = np.repeat(np.arange(histories.height), lengths)
    return events.where(np.lexsort((events.event_types, events.item_idx, person))), lengths


def histories_of_items(histories: pl.DataFrame, item_ids: IdMap) -> pl.DataFrame:
    """Everybody's events of the map's items, in their order; whoever has none left keeps an empty history."""
    known = pl.Series(list(item_ids.ids), dtype=pl.String).implode()
    kept = _known_events(_events(histories), "item_ids", known)
    if OLDER_ITEM_IDS in histories.columns:
        kept = kept.join(_known_events(histories.select("user_id", *OLDER), OLDER_ITEM_IDS, known), "user_id", "left")
    return kept.select(histories.columns)


def _known_events(lists: pl.DataFrame, items: str, known: pl.Expr | pl.Series) -> pl.DataFrame:
    """The lists with the elements of known items alone, a row for each person; empty where none is left."""
    rows = lists.explode(cs.exclude("user_id"), empty_as_null=False).filter(pl.col(items).is_in(known))
    kept = rows.group_by("user_id", maintain_order=True).all()
    return lists.select("user_id").join(kept, "user_id", "left").with_columns(pl.exclude("user_id").fill_null([]))


def _events(histories: pl.DataFrame) -> pl.DataFrame:
    return histories.select(cs.exclude(*OLDER))


def _exploded(histories: pl.DataFrame) -> pl.DataFrame:
    return _events(histories).explode(cs.exclude("user_id"), empty_as_null=False)


def _types(rows: pl.DataFrame) -> EventCodes:
    if EVENT_TYPES not in rows.columns:
        return np.full(rows.height, UNSPECIFIED_TYPE, np.uint8)
    return rows[EVENT_TYPES].to_numpy().astype(np.uint8)


def _check_known(names: pl.Series, item_idx: ItemIdxArray, item_ids: IdMap) -> None:
    unknown = np.flatnonzero(item_idx == UNKNOWN)
    if len(unknown):
        raise ReleaseMismatch(
            f"The histories hold {len(unknown)} events of items that the id map {item_ids.fingerprint} does not know, "
            f"among them {names[int(unknown[0])]!r}.",
            "Values and catalogue belong to different releases. Run `dvc repro`, or check out one release.",
        )
